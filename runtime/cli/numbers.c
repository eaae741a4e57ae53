/* cli/numbers.c: see numbers.h. */
#include "cli/numbers.h"

#include <stdio.h>

#include "core/system.h"

int64_t nitic_now(void) { return nitic_nanoseconds() / 1000000; }

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
