/* log.h: what a training run tells: JSON lines, a progress bar or plain lines on standard error. Fixed point, no
 * floats. */
#ifndef NITIC_LOG_H
#define NITIC_LOG_H

#include <stdio.h>

#include "nitic.h"

/* Milliseconds of a clock that only goes forward. */
int64_t nitic_now(void);

/* Mean loss, in nats or as a sum of squares, and accuracy, in ten-thousandths, rounded. */
int64_t nitic_loss_e4(const nitic_program *program, const nitic_metrics *metrics);
int64_t nitic_accuracy_e4(const nitic_metrics *metrics);
enum { NITIC_NUMBER_LENGTH = 32 };
/* value / 10^digits as text, which it returns. */
char *nitic_fixed(char text[NITIC_NUMBER_LENGTH], int64_t value, int digits);

typedef struct {
  FILE *file;
  const char *path;
  int failed; /* said so once; the run ends with NITIC_RUNTIME */
} nitic_log;

/* path NULL: no log. append keeps what is there. */
int nitic_log_open(nitic_log *log, const char *path, int append);
/* Writes one line and flushes it. */
int nitic_log_line(nitic_log *log, const char *line);
int nitic_log_close(nitic_log *log);

typedef struct {
  const nitic_program *program;
  int terminal;
  int64_t drawn; /* time of the last drawing */
} nitic_bar;

nitic_bar nitic_bar_open(const nitic_program *program);
/* Draws where standard error is a terminal, at most ten times a second. */
void nitic_bar_draw(nitic_bar *bar, const nitic_progress *progress, int64_t steps, int64_t milliseconds, int64_t done);
/* Wipes the bar, so that a line may be printed. */
void nitic_bar_clear(nitic_bar *bar);

#endif
