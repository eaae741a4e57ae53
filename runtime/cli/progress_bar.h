/* cli/progress_bar.h: the bar of an epoch, where standard error is a terminal. */
#ifndef NITIC_CLI_PROGRESS_BAR_H
#define NITIC_CLI_PROGRESS_BAR_H

#include "nitic.h"

typedef struct {
  const nitic_program *program;
  int terminal;  /* whether standard error is one; nothing is drawn elsewhere */
  int64_t drawn; /* time of the last drawing */
} nitic_bar;

nitic_bar nitic_bar_open(const nitic_program *program);
/* Draws at most ten times a second. `steps`: of an epoch; `done`: those of them that took `milliseconds`. */
void nitic_bar_draw(nitic_bar *bar, const nitic_progress *progress, int64_t steps, int64_t milliseconds, int64_t done);
/* Wipes the bar, so that a line may be printed. */
void nitic_bar_clear(nitic_bar *bar);

#endif
