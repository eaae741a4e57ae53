/* core/replace.h: a file that is written in one go: what was there stays until the new one is complete. */
#ifndef NITIC_CORE_REPLACE_H
#define NITIC_CORE_REPLACE_H

#include <signal.h>
#include <stdbool.h>

enum { NITIC_PATH_LENGTH = 4096 };

typedef struct {
  char path[NITIC_PATH_LENGTH];      /* the file: where a link leads, if one was given */
  char temporary[NITIC_PATH_LENGTH]; /* beside it, under a name that nobody can guess */
  int file;                          /* what to write to */
  sigset_t signals;                  /* of this thread, before */
} nitic_replacement;

/* Both return 0 or an errno. Between the two this thread gets no signals, so that none leaves the temporary file. */
int nitic_replace_begin(nitic_replacement *replacement, const char *path);
/* Closes the file. It takes its place if `reason`, why it could not be written, is 0; else it is removed. */
int nitic_replace_end(nitic_replacement *replacement, int reason);

#endif
