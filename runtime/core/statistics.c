/* core/statistics.c: mean and standard deviation of the training set become the integer input map of numerics.md:
 * m = saturate(R(x * multiplier + offset, 16)), channel by channel, at an exponent that cuts off no sample. */
#include "core/internal.h"

/* What has statistics of its own: the channels of an image, and a vector as a whole. */
static int32_t channels_of(const nitic_input *input) { return input->rank == 3 ? (int32_t)input->shape[2] : 1; }

int32_t nitic_statistics_channels(const nitic_program *program) {
  int32_t channels = 0;
  for (uint32_t i = 0; i < program->input_count; i++)
    channels += channels_of(&program->inputs[i]);
  return channels;
}

void nitic_statistics_begin(nitic_statistics *statistics, const nitic_program *program, int64_t *sums) {
  int32_t channels = nitic_statistics_channels(program);
  *statistics =
      (nitic_statistics){.program = program, .channels = channels, .sum = sums, .square_sum = sums + channels};
  for (int32_t i = 0; i < 2 * channels; i++)
    sums[i] = 0;
}

static void add(const uint8_t *sample, int64_t pixels, int32_t channels, int64_t *sum, int64_t *square_sum) {
  for (int64_t i = 0; i < pixels; i++)
    for (int32_t c = 0; c < channels; c++) {
      int64_t x = *sample++;
      sum[c] += x;
      square_sum[c] += x * x;
    }
}

void nitic_statistics_add(nitic_statistics *statistics, const uint8_t *samples, int64_t count) {
  const nitic_program *program = statistics->program;
  for (int64_t i = 0; i < count; i++) {
    int32_t first = 0;
    for (const nitic_input *input = program->inputs; input < program->inputs + program->input_count; input++) {
      int32_t channels = channels_of(input);
      add(samples, (int64_t)input->bytes / channels, channels, statistics->sum + first, statistics->square_sum + first);
      samples += input->bytes;
      first += channels;
    }
  }
  statistics->samples += count;
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

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* How far the maps are moved up from exponent -5, so that the values of 0 and 255 are mantissas of int8. */
static int shift_to_fit(int32_t channels, const int64_t *multiplier, const int64_t *offset) {
  int64_t most = 0;
  for (int32_t c = 0; c < channels; c++) {
    int64_t low = magnitude(offset[c]), high = magnitude(255 * multiplier[c] + offset[c]);
    most = low > most ? low : most;
    most = high > most ? high : most;
  }
  int shift = 0;
  while (nearest(most, 16 + shift) > 127)
    shift++;
  return shift;
}

/* The maps of all channels in the place of their sums. */
static void make_maps(const nitic_statistics *statistics) {
  const nitic_program *program = statistics->program;
  int64_t *sum = statistics->sum, *square_sum = statistics->square_sum;
  for (const nitic_input *input = program->inputs; input < program->inputs + program->input_count; input++) {
    int32_t channels = channels_of(input);
    int64_t n = statistics->samples * ((int64_t)input->bytes / channels);
    for (int32_t c = 0; c < channels; c++, sum++, square_sum++) {
      int64_t mean = mean_q16(*sum, n), mean_square = mean_q16(*square_sum, n);
      channel_map(mean, mean_square, sum, square_sum);
    }
  }
}

/* One multiplier and offset per channel; of several inputs one per byte of a sample, which is of some channel. */
static void write_maps(const nitic_statistics *statistics, int shift, int32_t *multiplier, int32_t *offset) {
  const nitic_program *program = statistics->program;
  const int64_t *m = statistics->sum, *o = statistics->square_sum;
  for (const nitic_input *input = program->inputs; input < program->inputs + program->input_count; input++) {
    int32_t channels = channels_of(input);
    int64_t count = program->input_count > 1 ? (int64_t)input->bytes : channels;
    for (int64_t i = 0; i < count; i++) {
      *multiplier++ = nearest(m[i % channels], shift);
      *offset++ = nearest(o[i % channels], shift);
    }
    m += channels;
    o += channels;
  }
}

/* Writes the map of the samples, and its exponent; writes nothing on failure. */
int nitic_statistics_map(const nitic_statistics *statistics, int32_t *multiplier, int32_t *offset, int32_t *exponent) {
  int status =
      statistics->samples ? NITIC_OK : nitic_fail(NITIC_MISMATCH, "there are no samples to take statistics of");
  if (status == NITIC_OK) {
    make_maps(statistics);
    int shift = shift_to_fit(statistics->channels, statistics->sum, statistics->square_sum);
    write_maps(statistics, shift, multiplier, offset);
    *exponent = shift - 5;
  }
  return status;
}
