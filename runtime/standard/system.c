/* standard/system.c: memory, time, errors and the process by ISO C alone: core/system.h. */
#include "core/system.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { ALIGNMENT = 64 };

/* In front of what is given lies the address of what calloc gave. */
void *nitic_memory(size_t bytes) {
  size_t more = ALIGNMENT + sizeof(void *);
  uint8_t *whole = bytes <= SIZE_MAX - more ? calloc(bytes + more, 1) : NULL;
  if (!whole)
    return NULL;
  uint8_t *at = whole + sizeof(void *);
  at += (ALIGNMENT - (uintptr_t)at % ALIGNMENT) % ALIGNMENT;
  ((void **)(void *)at)[-1] = whole;
  return at;
}

void nitic_memory_free(void *memory, size_t bytes) {
  (void)bytes;
  free(((void **)memory)[-1]);
}

/* Whole seconds. */
int64_t nitic_nanoseconds(void) { return (int64_t)time(NULL) * 1000000000; }

bool nitic_is_met(const nitic_requirement *need) {
  (void)need;
  return false;
}

char *nitic_sentence(void) {
  static char sentence[NITIC_SENTENCE];
  return sentence;
}

int nitic_terminal_columns(void) { return 0; }

/* ---- signals: the two of ISO C that come from outside */

static volatile sig_atomic_t interrupted;

static void note_signal(int number) {
  interrupted = 1;
  signal(number, SIG_DFL);
}

void nitic_process_begin(void) {
  signal(SIGINT, note_signal);
  signal(SIGTERM, note_signal);
}

void nitic_catch_broken_pipes(void) {}

bool nitic_interrupted(void) { return interrupted != 0; }
