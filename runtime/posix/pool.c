/* posix/pool.c: the thread pool. Waiting is a short spin (a kernel call lasts microseconds), then a while in which the
 * processor is offered to others (on a machine with other work, the thread that is waited for may have none), and then
 * a sleep on a condition variable. Compiles with -mgeneral-regs-only. */
#include "core/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/internal.h"

/* Some 10 microseconds, and 200 where nobody else wants the processor. */
enum { SPINS = 256, SPINS_CROWDED = 32, YIELDS = 512 };

/* A counter to wait on. A thread that changes it looks for sleepers afterwards; one that goes to sleep counts itself as
 * a sleeper before it looks at the counter again. So no sleeper is missed. */
typedef struct {
  alignas(64) _Atomic uint32_t generation;
  _Atomic int32_t sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
} gate;

struct nitic_pool {
  gate start, done;
  alignas(64) _Atomic int32_t arrived;
  int threads, started, spins;
  pid_t process; /* in which they run: fork() copies no threads */
  bool stop;
  nitic_job *job;
  void *argument;
  pthread_t workers[NITIC_MAX_THREADS];
};

typedef struct {
  nitic_pool *pool;
  int thread;
} worker_argument;

static void gate_init(gate *g) {
  *g = (gate){0};
  pthread_mutex_init(&g->mutex, NULL);
  pthread_cond_init(&g->wake, NULL);
}

static void gate_destroy(gate *g) {
  pthread_mutex_destroy(&g->mutex);
  pthread_cond_destroy(&g->wake);
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

static void gate_open(gate *g) {
  atomic_fetch_add(&g->generation, 1);
  if (atomic_load(&g->sleepers) == 0)
    return;
  pthread_mutex_lock(&g->mutex);
  pthread_cond_broadcast(&g->wake);
  pthread_mutex_unlock(&g->mutex);
}

/* Returns when the generation is no longer `seen`. */
static void gate_wait(gate *g, uint32_t seen, int spins) {
  for (int i = 0; i < spins + YIELDS; i++) {
    if (atomic_load_explicit(&g->generation, memory_order_acquire) != seen)
      return;
    i < spins ? relax() : (void)sched_yield();
  }
  pthread_mutex_lock(&g->mutex);
  atomic_fetch_add(&g->sleepers, 1);
  while (atomic_load(&g->generation) == seen)
    pthread_cond_wait(&g->wake, &g->mutex);
  atomic_fetch_sub(&g->sleepers, 1);
  pthread_mutex_unlock(&g->mutex);
}

void nitic_pool_barrier(nitic_pool *pool) {
  if (pool->threads == 1)
    return;
  uint32_t seen = atomic_load(&pool->done.generation);
  if (atomic_fetch_add(&pool->arrived, 1) + 1 < pool->threads) {
    gate_wait(&pool->done, seen, pool->spins);
    return;
  }
  atomic_store(&pool->arrived, 0);
  gate_open(&pool->done);
}

static void *work(void *argument) {
  worker_argument mine = *(worker_argument *)argument;
  nitic_pool *pool = mine.pool;
  nitic_pool_barrier(pool); /* the creator may now reuse `argument` */
  for (uint32_t seen = 0;; seen++) {
    gate_wait(&pool->start, seen, pool->spins);
    if (pool->stop)
      return NULL;
    pool->job(pool->argument, mine.thread);
    nitic_pool_barrier(pool);
  }
}

/* Workers get no signals: the main thread's handlers interrupt the main thread. */
static int start_workers(nitic_pool *pool, worker_argument *arguments) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int status = 0;
  for (int t = 1; t < pool->threads && status == 0; t++) {
    arguments[t] = (worker_argument){pool, t};
    status = pthread_create(&pool->workers[t], NULL, work, &arguments[t]);
    pool->started += status == 0;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return status;
}

static void join_workers(nitic_pool *pool) {
  for (int t = 1; t <= pool->started; t++)
    pthread_join(pool->workers[t], NULL);
  pool->started = 0;
}

/* Ends a pool with fewer workers than wanted: those that were started wait in their first barrier. */
static int abandon(nitic_pool *pool, int status) {
  pool->stop = true;
  atomic_fetch_add(&pool->start.generation, 1);
  while (atomic_load(&pool->arrived) < pool->started)
    sched_yield();
  gate_open(&pool->done);
  join_workers(pool);
  return nitic_fail(NITIC_RUNTIME, "cannot start %d threads: %s", pool->threads, strerror(status));
}

/* Starts the workers in this process. What another process left in the gates is forgotten. */
static int start(nitic_pool *pool) {
  worker_argument arguments[NITIC_MAX_THREADS];
  gate_init(&pool->start);
  gate_init(&pool->done);
  atomic_store(&pool->arrived, 0);
  pool->started = 0;
  pool->stop = false;
  pool->spins = pool->threads > nitic_cores() ? SPINS_CROWDED : SPINS;
  int status = start_workers(pool, arguments);
  if (status != 0)
    return abandon(pool, status);
  pool->process = getpid();
  nitic_pool_barrier(pool);
  return NITIC_OK;
}

int nitic_pool_create(int threads, nitic_pool **out) {
  if (threads < 1 || threads > NITIC_MAX_THREADS)
    return nitic_fail(NITIC_USAGE, "%d threads asked for: 1 to %d are possible", threads, NITIC_MAX_THREADS);
  nitic_pool *pool = mmap(NULL, sizeof *pool, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pool == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "no memory for the thread pool");
  pool->threads = threads;
  int status = start(pool);
  if (status == NITIC_OK)
    *out = pool;
  else
    munmap(pool, sizeof *pool);
  return status;
}

/* Gates with sleepers of another process cannot be destroyed: that would wait for them. */
void nitic_pool_destroy(nitic_pool *pool) {
  if (!pool)
    return;
  if (pool->process == getpid()) {
    pool->stop = true;
    gate_open(&pool->start);
    join_workers(pool);
    gate_destroy(&pool->start);
    gate_destroy(&pool->done);
  }
  munmap(pool, sizeof *pool);
}

int nitic_pool_run(nitic_pool *pool, nitic_job *job, void *argument) {
  int status = pool->threads > 1 && pool->process != getpid() ? start(pool) : NITIC_OK;
  if (status != NITIC_OK)
    return status;
  pool->job = job;
  pool->argument = argument;
  if (pool->threads > 1)
    gate_open(&pool->start);
  job(argument, 0);
  nitic_pool_barrier(pool);
  return NITIC_OK;
}

int nitic_pool_threads(const nitic_pool *pool) { return pool->threads; }

int nitic_cores(void) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    cores = CPU_COUNT(&set);
#endif
  return cores < 1 ? 1 : cores > NITIC_MAX_THREADS ? NITIC_MAX_THREADS : (int)cores;
}
