/* core/statistics.c: mean and standard deviation of the training set become the integer input map of numerics.md:
 * m = saturate(R(x * multiplier + offset, 16)), channel by channel, at an exponent that cuts off no sample. */
#include <stdlib.h>

#include "core/internal.h"

int nitic_statistics_init(nitic_statistics *statistics, int32_t channels) {
  int64_t *sums = calloc((size_t)channels * 2, sizeof *sums);
  if (!sums)
    return nitic_fail(NITIC_RUNTIME, "no memory for the statistics of %d channels", channels);
  *statistics = (nitic_statistics){.channels = channels, .sum = sums, .square_sum = sums + channels};
  return NITIC_OK;
}

void nitic_statistics_add(nitic_statistics *statistics, const uint8_t *samples, int64_t pixels) {
  for (int64_t i = 0; i < pixels; i++)
    for (int32_t c = 0; c < statistics->channels; c++) {
      int64_t x = *samples++;
      statistics->sum[c] += x;
      statistics->square_sum[c] += x * x;
    }
  statistics->pixels += pixels;
}

/* div(a << 16, n) of numerics.md without the overflow of a << 16: whole part and remainder apart. */
static int64_t mean_q16(int64_t a, int64_t n) { return (a / n << 16) + (((a % n) << 17) + n) / (2 * n); }

int64_t nitic_square_root(int64_t v) {
  int64_t root = 0;
  for (int bit = 30; bit >= 0; bit--) {
    int64_t trial = root | (int64_t)1 << bit;
    if (trial * trial <= v)
      root = trial;
  }
  return root;
}

/* Mean and deviation in Q16. The deviation is at least a seventh of the way from the mean to the farther of 0 and 255:
 * a channel that hardly varies would leave no bits for the others. */
static void channel_map(int64_t mean, int64_t mean_square, int64_t *multiplier, int64_t *offset) {
  int64_t variance = mean_square - (mean * mean >> 16);
  int64_t deviation = nitic_square_root((variance > 0 ? variance : 0) << 16);
  int64_t above = ((int64_t)255 << 16) - mean, least = (mean > above ? mean : above) / 7;
  if (deviation < least)
    deviation = least;
  *multiplier = (((int64_t)1 << 38) + deviation) / (2 * deviation);
  *offset = -((*multiplier * mean + (1 << 15)) >> 16);
}

static int32_t nearest(int64_t x, int shift) {
  return (int32_t)(shift ? (x + ((int64_t)1 << (shift - 1)) - (x < 0)) >> shift : x);
}

/* Moves the map up from exponent -5 until the values of 0 and 255 are mantissas of int8. */
static void fit(int32_t channels, int32_t *multiplier, int32_t *offset, int32_t *exponent) {
  int64_t most = 0;
  for (int32_t c = 0; c < channels; c++) {
    int64_t low = llabs((int64_t)offset[c]), high = llabs(255 * (int64_t)multiplier[c] + offset[c]);
    most = low > most ? low : most;
    most = high > most ? high : most;
  }
  int shift = 0;
  while (nearest(most, 16 + shift) > 127)
    shift++;
  for (int32_t c = 0; c < channels; c++) {
    multiplier[c] = nearest(multiplier[c], shift);
    offset[c] = nearest(offset[c], shift);
  }
  *exponent = shift - 5;
}

/* Writes one multiplier and offset per channel, and their exponent; writes nothing on failure. Releases the statistics
 * in any case. */
int nitic_statistics_finish(nitic_statistics *statistics, int32_t *multiplier, int32_t *offset, int32_t *exponent) {
  int status = statistics->pixels ? NITIC_OK : nitic_fail(NITIC_MISMATCH, "there are no samples to take statistics of");
  for (int32_t c = 0; c < statistics->channels && status == NITIC_OK; c++) {
    int64_t mean = mean_q16(statistics->sum[c], statistics->pixels), m, o;
    channel_map(mean, mean_q16(statistics->square_sum[c], statistics->pixels), &m, &o);
    multiplier[c] = (int32_t)m;
    offset[c] = (int32_t)o;
  }
  if (status == NITIC_OK)
    fit(statistics->channels, multiplier, offset, exponent);
  free(statistics->sum);
  *statistics = (nitic_statistics){0};
  return status;
}
