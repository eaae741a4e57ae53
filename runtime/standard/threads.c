/* standard/threads.c: the caller's thread does everything: core/pool.h, core/system.h. */
#include <stdlib.h>

#include "core/internal.h"
#include "core/pool.h"
#include "core/system.h"

struct nitic_pool {
  int threads;
};

int nitic_cores(void) { return 1; }

/* The pool has no state, so all share one. */
int nitic_pool_create(int threads, nitic_pool **pool) {
  static nitic_pool alone = {1};
  if (threads != 1)
    return nitic_fail(NITIC_USAGE, "%d threads asked for: this program has no threads but one", threads);
  *pool = &alone;
  return NITIC_OK;
}

void nitic_pool_destroy(nitic_pool *pool) { (void)pool; }

int nitic_pool_threads(const nitic_pool *pool) { return pool->threads; }

int nitic_pool_run(nitic_pool *pool, nitic_job *job, void *argument) {
  (void)pool;
  job(argument, 0);
  return NITIC_OK;
}

void nitic_pool_barrier(nitic_pool *pool) { (void)pool; }

int nitic_helper_create(void (*work)(void *argument), void *argument, nitic_helper **helper) {
  (void)work;
  (void)argument;
  *helper = NULL;
  return NITIC_OK;
}

void nitic_helper_destroy(nitic_helper *helper) { (void)helper; }
void nitic_helper_start(nitic_helper *helper) { (void)helper; }
void nitic_helper_wait(nitic_helper *helper) { (void)helper; }
