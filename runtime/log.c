/* log.c: see log.h. */
#include "log.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum { BAR_WIDTH = 24, REDRAW_MS = 100 };

int64_t nitic_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- numbers */

static int64_t divide(int64_t a, int64_t b) { return (a + (a < 0 ? -b : b) / 2) / b; }

/* loss / 256 bits * ln 2 / count * 10^4, with ln 2 = 0.6931472, or loss / 2^16 / count * 10^4; halves both sides where
 * the product would overflow. */
int64_t nitic_loss_e4(const nitic_program *program, const nitic_metrics *metrics) {
  int64_t loss = metrics->loss, count = metrics->count ? metrics->count : 1;
  int64_t factor = program->squared_error ? 10000 : 6931472, parts = program->squared_error ? 65536 : 256 * 1000;
  for (parts *= count; loss >> 38 > 0 || loss >> 38 < -1; loss /= 2)
    parts = (parts + 1) / 2;
  return divide(loss * factor, parts);
}

int64_t nitic_accuracy_e4(const nitic_metrics *metrics) {
  return metrics->count ? divide(metrics->correct * 10000, metrics->count) : 0;
}

char *nitic_fixed(char text[NITIC_NUMBER_LENGTH], int64_t value, int digits) {
  int64_t unit = 1, magnitude = value < 0 ? -value : value;
  for (int i = 0; i < digits; i++)
    unit *= 10;
  snprintf(text, NITIC_NUMBER_LENGTH, "%s%lld.%0*lld", value < 0 ? "-" : "", (long long)(magnitude / unit), digits,
           (long long)(magnitude % unit));
  return text;
}

/* ---- JSON lines */

int nitic_log_open(nitic_log *log, const char *path, int append) {
  *log = (nitic_log){.path = path};
  if (!path)
    return NITIC_OK;
  log->file = fopen(path, append ? "ae" : "we");
  return log->file ? NITIC_OK : nitic_fail(NITIC_RUNTIME, "%s: cannot write the log: %s", path, strerror(errno));
}

int nitic_log_line(nitic_log *log, const char *line) {
  if (!log->file || log->failed)
    return NITIC_OK;
  if (fprintf(log->file, "%s\n", line) >= 0 && fflush(log->file) == 0)
    return NITIC_OK;
  log->failed = 1;
  return nitic_fail(NITIC_RUNTIME, "%s: cannot write the log: %s", log->path, strerror(errno));
}

int nitic_log_close(nitic_log *log) {
  int status = log->file && fclose(log->file) != 0 ? EOF : 0;
  if (log->failed || status != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: the log is incomplete", log->path);
  return NITIC_OK;
}

/* ---- the bar */

nitic_bar nitic_bar_open(const nitic_program *program) {
  return (nitic_bar){.program = program, .terminal = isatty(STDERR_FILENO)};
}

void nitic_bar_draw(nitic_bar *bar, const nitic_progress *p, int64_t steps, int64_t milliseconds, int64_t done) {
  int64_t now = nitic_now();
  if (!bar->terminal || now - bar->drawn < REDRAW_MS)
    return;
  bar->drawn = now;
  char blocks[BAR_WIDTH + 1], loss[NITIC_NUMBER_LENGTH], accuracy[NITIC_NUMBER_LENGTH];
  for (int64_t i = 0; i < BAR_WIDTH; i++)
    blocks[i] = i * steps < p->epoch_step * BAR_WIDTH ? '#' : '.';
  blocks[BAR_WIDTH] = 0;
  int64_t left = done > 0 ? (steps - p->epoch_step) * milliseconds / done / 1000 : 0;
  fprintf(stderr, "\r\033[Kepoch %lld/%lld [%s] %lld/%lld  loss %s  accuracy %s %%  %lld:%02lld left",
          (long long)p->epoch + 1, (long long)p->epochs, blocks, (long long)p->epoch_step, (long long)steps,
          nitic_fixed(loss, nitic_loss_e4(bar->program, &p->running), 4),
          nitic_fixed(accuracy, nitic_accuracy_e4(&p->running), 2), (long long)left / 60, (long long)left % 60);
}

void nitic_bar_clear(nitic_bar *bar) {
  if (bar->terminal)
    fputs("\r\033[K", stderr);
}
