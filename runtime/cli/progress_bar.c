/* cli/progress_bar.c: see progress_bar.h. */
#include "cli/progress_bar.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/numbers.h"

enum { BAR_WIDTH = 24, REDRAW_MS = 100 };

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
