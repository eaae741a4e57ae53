/* core/pool.h: persistent threads that run one job together. */
#ifndef NITIC_CORE_POOL_H
#define NITIC_CORE_POOL_H

typedef struct nitic_pool nitic_pool;
typedef void nitic_job(void *argument, int thread);

/* threads counts the caller too, which is thread 0 of every job. */
int nitic_pool_create(int threads, nitic_pool **pool);
void nitic_pool_destroy(nitic_pool *pool);
int nitic_pool_threads(const nitic_pool *pool);

/* Runs job(argument, t) on every thread t; returns when all have finished. In a process that was made by fork() it
 * first starts threads there, which may fail. */
int nitic_pool_run(nitic_pool *pool, nitic_job *job, void *argument);

/* Inside a job: no thread passes before all have come. What any thread wrote before it, all see after it. */
void nitic_pool_barrier(nitic_pool *pool);

/* Cores this process may run on, 1 to NITIC_MAX_THREADS. */
int nitic_cores(void);

#endif
