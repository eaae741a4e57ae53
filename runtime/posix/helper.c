/* posix/helper.c: a thread that does one piece of work at a time: core/system.h. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "core/system.h"

/* Whose turn it is: the thread's while work is WANTED, the caller's otherwise. */
typedef enum { IDLE, WANTED, STOP } helper_state;

struct nitic_helper {
  void (*work)(void *argument);
  void *argument;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  helper_state state;
};

static void *serve(void *argument) {
  nitic_helper *h = argument;
  pthread_mutex_lock(&h->mutex);
  while (h->state != STOP) {
    if (h->state != WANTED) {
      pthread_cond_wait(&h->changed, &h->mutex);
      continue;
    }
    pthread_mutex_unlock(&h->mutex);
    h->work(h->argument);
    pthread_mutex_lock(&h->mutex);
    h->state = IDLE;
    pthread_cond_broadcast(&h->changed);
  }
  pthread_mutex_unlock(&h->mutex);
  return NULL;
}

/* The thread gets no signals, like those of the thread pool, but for the one that says that a file became shorter. */
static int start_thread(nitic_helper *h) {
  sigset_t all, old;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int status = pthread_create(&h->thread, NULL, serve, h);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return status;
}

static void free_helper(nitic_helper *h) {
  pthread_cond_destroy(&h->changed);
  pthread_mutex_destroy(&h->mutex);
  free(h);
}

int nitic_helper_create(void (*work)(void *argument), void *argument, nitic_helper **helper) {
  nitic_helper *h = calloc(1, sizeof *h);
  if (!h)
    return nitic_fail(NITIC_RUNTIME, "no memory for a thread");
  h->work = work;
  h->argument = argument;
  pthread_mutex_init(&h->mutex, NULL);
  pthread_cond_init(&h->changed, NULL);
  int status = start_thread(h);
  if (status != 0) {
    free_helper(h);
    return nitic_fail(NITIC_RUNTIME, "cannot start the thread that reads data: %s", strerror(status));
  }
  *helper = h;
  return NITIC_OK;
}

static void change(nitic_helper *h, helper_state state) {
  pthread_mutex_lock(&h->mutex);
  h->state = state;
  pthread_cond_broadcast(&h->changed);
  pthread_mutex_unlock(&h->mutex);
}

void nitic_helper_start(nitic_helper *h) { change(h, WANTED); }

void nitic_helper_wait(nitic_helper *h) {
  pthread_mutex_lock(&h->mutex);
  while (h->state == WANTED)
    pthread_cond_wait(&h->changed, &h->mutex);
  pthread_mutex_unlock(&h->mutex);
}

void nitic_helper_destroy(nitic_helper *h) {
  nitic_helper_wait(h);
  change(h, STOP);
  pthread_join(h->thread, NULL);
  free_helper(h);
}
