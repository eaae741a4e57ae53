/* data/box.c: see box.h. */
#include "data/box.h"

#include "core/internal.h"

/* The stream of augmentation ("augm"), as SHUFFLE_STREAM in random.c. */
#define AUGMENT_STREAM 0x6175676Du

enum { Q16 = 1 << 16 };
/* In Q16: the least share of the area is 8 %, the least ratio of the sides 3/4. */
enum { LEAST_AREA = 5243, LEAST_RATIO = 49152 };

/* A whole number from 0 to n - 1. */
static int32_t below(uint32_t word, int64_t n) { return (int32_t)((uint64_t)word * (uint64_t)n >> 32); }

static int32_t clamp(int64_t value, int64_t least, int64_t most) {
  return (int32_t)(value < least ? least : value > most ? most : value);
}

static int64_t divide(int64_t a, int64_t b) { return (2 * a + b) / (2 * b); }

nitic_box nitic_box_centre(nitic_size stored, nitic_size input) {
  if (nitic_same_size(stored, input))
    return (nitic_box){.size = stored};
  int64_t height = stored.height, width = stored.width;
  if (height * input.width > width * input.height)
    height = divide(width * input.height, input.width);
  else
    width = divide(height * input.width, input.height);
  nitic_size size = {clamp(divide(7 * height, 8), 1, stored.height), clamp(divide(7 * width, 8), 1, stored.width)};
  return (nitic_box){(stored.height - size.height) / 2, (stored.width - size.width) / 2, size, false};
}

/* Width : height is a ratio from 3/4 to 1, or its inverse: a random bit says which. */
static nitic_box resized_crop(nitic_size stored, const uint32_t words[4]) {
  uint64_t share = LEAST_AREA + (uint64_t)below(words[0], Q16 - LEAST_AREA + 1);
  uint64_t ratio = LEAST_RATIO + (uint64_t)below(words[1], Q16 - LEAST_RATIO + 1);
  uint64_t area = share * (uint64_t)stored.height * (uint64_t)stored.width; /* Q16, below 2^46 */
  int32_t small = (int32_t)nitic_square_root((int64_t)(area * ratio >> 32));
  int32_t large = (int32_t)nitic_square_root((int64_t)(area / ratio));
  bool wide = words[1] & 1;
  nitic_size size = {clamp(wide ? small : large, 1, stored.height), clamp(wide ? large : small, 1, stored.width)};
  return (nitic_box){below(words[2], stored.height - size.height + 1), below(words[3], stored.width - size.width + 1),
                     size, false};
}

nitic_box nitic_box_draw(const nitic_draw *draw, nitic_size stored, nitic_size input, int64_t index) {
  const nitic_augment *a = &draw->augment;
  uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), AUGMENT_STREAM, (uint32_t)draw->epoch}, words[4];
  nitic_philox(counter, draw->seed, words);
  nitic_box box = a->resized_crop ? resized_crop(stored, words) : nitic_box_centre(stored, input);
  if (a->crop) {
    box.y = below(words[2], 2 * a->pad + 1) - a->pad;
    box.x = below(words[3], 2 * a->pad + 1) - a->pad;
  }
  box.mirrored = a->flip && words[1] & 2;
  return box;
}
