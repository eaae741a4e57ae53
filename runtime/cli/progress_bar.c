/* cli/progress_bar.c: see progress_bar.h. */
#include "cli/progress_bar.h"

#include <stdio.h>
#include <string.h>

#include "cli/numbers.h"
#include "core/system.h"

enum { BAR_WIDTH = 24, LEAST_WIDTH = 4, REDRAW_MS = 100 };

nitic_bar nitic_bar_open(const nitic_program *program) {
  return (nitic_bar){.program = program, .terminal = nitic_terminal_columns() > 0};
}

/* "[###...] ", or nothing where there is no room for a few blocks. */
static void draw_blocks(char text[BAR_WIDTH + 4], int room, int64_t step, int64_t steps) {
  int width = room > BAR_WIDTH ? BAR_WIDTH : room < LEAST_WIDTH ? 0 : room;
  *text++ = '[';
  for (int i = 0; i < width; i++)
    *text++ = i * steps < step * width ? '#' : '.';
  strcpy(width ? text : text - 1, width ? "] " : "");
}

void nitic_bar_draw(nitic_bar *bar, const nitic_progress *p, int64_t steps, int64_t milliseconds, int64_t done) {
  int64_t now = nitic_now();
  if (!bar->terminal || now - bar->drawn < REDRAW_MS)
    return;
  bar->drawn = now;
  char head[64], tail[160], line[256], loss[NITIC_NUMBER_LENGTH], accuracy[NITIC_NUMBER_LENGTH];
  int64_t left = done > 0 ? (steps - p->epoch_step) * milliseconds / done / 1000 : 0;
  int used = snprintf(head, sizeof head, "epoch %lld/%lld ", (long long)p->epoch + 1, (long long)p->epochs);
  used +=
      snprintf(tail, sizeof tail, "%lld/%lld  loss %s  accuracy %s %%  %lld:%02lld left", (long long)p->epoch_step,
               (long long)steps, nitic_fixed(loss, nitic_loss_e4(bar->program, &p->running), 4),
               nitic_fixed(accuracy, nitic_accuracy_e4(&p->running), 2), (long long)left / 60, (long long)left % 60);
  char blocks[BAR_WIDTH + 4];
  int most = nitic_terminal_columns() - 1; /* some terminals wrap when the last column is full */
  draw_blocks(blocks, most - used - 3, p->epoch_step, steps);
  snprintf(line, sizeof line, "%s%s%s", head, blocks, tail);
  fprintf(stderr, "\r\033[K%.*s", most, line);
}

void nitic_bar_clear(nitic_bar *bar) {
  if (bar->terminal)
    fputs("\r\033[K", stderr);
}
