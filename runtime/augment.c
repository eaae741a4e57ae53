/* augment.c: see augment.h. */
#include "augment.h"

#include <string.h>

#include "internal.h"

/* The stream of augmentation ("augm"), as SHUFFLE_STREAM in random.c. */
#define AUGMENT_STREAM 0x6175676Du

enum { Q16 = 1 << 16 };
/* In Q16: the least share of the area is 8 %, the least ratio of the sides 3/4. */
enum { LEAST_AREA = 5243, LEAST_RATIO = 49152 };

/* ---- the option */

static bool take_word(const char **text, const char *word) {
  size_t length = strlen(word);
  if (strncmp(*text, word, length) != 0)
    return false;
  *text += length;
  return true;
}

static bool take_pad(const char **text, int32_t *pad) {
  const char *start = *text;
  for (*pad = 0; **text >= '0' && **text <= '9' && *pad <= NITIC_MAX_PAD; ++*text)
    *pad = *pad * 10 + (**text - '0');
  return *text > start && *pad >= 1 && *pad <= NITIC_MAX_PAD;
}

/* Each once. */
static bool take_step(nitic_augment *a, const char **text) {
  nitic_augment before = *a;
  if (take_word(text, "flip")) {
    a->flip = true;
    return !before.flip;
  }
  bool cropped = before.crop || before.resized_crop;
  if (take_word(text, "resized-crop")) {
    a->resized_crop = true;
    return !cropped;
  }
  if (!take_word(text, "crop"))
    return false;
  a->crop = true;
  a->pad = NITIC_DEFAULT_PAD;
  return !cropped && (!take_word(text, ":") || take_pad(text, &a->pad));
}

bool nitic_augment_parse(nitic_augment *augment, const char *text) {
  *augment = (nitic_augment){0};
  if (strcmp(text, "none") == 0)
    return true;
  do
    if (!take_step(augment, &text))
      return false;
  while (take_word(&text, ","));
  return *text == 0;
}

/* ---- boxes */

/* A whole number from 0 to n - 1. */
static int32_t below(uint32_t word, int64_t n) { return (int32_t)((uint64_t)word * (uint64_t)n >> 32); }

static int32_t square_root(uint64_t v) {
  uint64_t root = 0;
  for (int bit = 30; bit >= 0; bit--) {
    uint64_t trial = root | (uint64_t)1 << bit;
    if (trial * trial <= v)
      root = trial;
  }
  return (int32_t)root;
}

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

/* Width : height is a ratio from 3/4 to 1, or its inverse, by the toss of a coin. */
static nitic_box resized_crop(nitic_size stored, const uint32_t words[4]) {
  uint64_t share = LEAST_AREA + (uint64_t)below(words[0], Q16 - LEAST_AREA + 1);
  uint64_t ratio = LEAST_RATIO + (uint64_t)below(words[1], Q16 - LEAST_RATIO + 1);
  uint64_t area = share * (uint64_t)stored.height * (uint64_t)stored.width; /* Q16, below 2^46 */
  int32_t small = square_root(area * ratio >> 32), large = square_root(area / ratio);
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

/* ---- pixels */

/* The two pixels that one of the result lies between, and how far it is from the first, in 256ths. */
typedef struct {
  int32_t first, second, fraction;
} tap;

static tap tap_of(int32_t i, int32_t start, int32_t length, int32_t out) {
  int32_t at = clamp((2 * (int64_t)i + 1) * length * 128 / out - 128, 0, (int64_t)(length - 1) * 256);
  int32_t first = at >> 8, second = first + 1 < length ? first + 1 : first;
  return (tap){start + first, start + second, at & 255};
}

static int32_t pixel(const nitic_image *image, const uint8_t *pad, int32_t y, int32_t x, int32_t c) {
  if (y < 0 || y >= image->size.height || x < 0 || x >= image->size.width)
    return pad[c];
  return image->at[y * image->row + x * image->column + c * image->channel] ^ image->flip;
}

static uint8_t interpolate(const nitic_image *image, const uint8_t *pad, tap y, tap x, int32_t c) {
  int32_t top = pixel(image, pad, y.first, x.first, c) * (256 - x.fraction) +
                pixel(image, pad, y.first, x.second, c) * x.fraction;
  int32_t bottom = pixel(image, pad, y.second, x.first, c) * (256 - x.fraction) +
                   pixel(image, pad, y.second, x.second, c) * x.fraction;
  return (uint8_t)((top * (256 - y.fraction) + bottom * y.fraction + (1 << 15)) >> 16);
}

/* One channel of a row of a box as it is, to every so many bytes. */
static void copy_line(const nitic_image *image, const nitic_box *box, const uint8_t *pad, int32_t i, int32_t c,
                      uint8_t *to) {
  int32_t y = box->y + i, width = box->size.width, begin = width, end = width;
  if (y >= 0 && y < image->size.height) {
    begin = clamp(-(int64_t)box->x, 0, width);
    end = clamp((int64_t)image->size.width - box->x, begin, width);
  }
  ptrdiff_t step = box->mirrored ? -image->channels : image->channels;
  to += c + (box->mirrored ? (width - 1) * image->channels : 0);
  for (int32_t j = 0; j < begin; j++, to += step)
    *to = pad[c];
  const uint8_t *from = image->at + c * image->channel;
  if (begin < end)
    from += y * image->row + (box->x + begin) * image->column;
  for (int32_t j = begin; j < end; j++, to += step, from += image->column)
    *to = *from ^ image->flip;
  for (int32_t j = end; j < width; j++, to += step)
    *to = pad[c];
}

/* What interpolation gives where the box has the size of the result, and faster. */
static void copy_box(const nitic_image *image, const nitic_box *box, const uint8_t *pad, uint8_t *to) {
  for (int32_t i = 0; i < box->size.height; i++, to += box->size.width * image->channels)
    for (int32_t c = 0; c < image->channels; c++)
      copy_line(image, box, pad, i, c, to);
}

void nitic_resample(const nitic_image *image, const nitic_box *box, const uint8_t *pad, nitic_size size, uint8_t *to) {
  if (nitic_same_size(box->size, size)) {
    copy_box(image, box, pad, to);
    return;
  }
  tap columns[NITIC_MAX_SIDE];
  for (int32_t j = 0; j < size.width; j++)
    columns[box->mirrored ? size.width - 1 - j : j] = tap_of(j, box->x, box->size.width, size.width);
  for (int32_t i = 0; i < size.height; i++) {
    tap row = tap_of(i, box->y, box->size.height, size.height);
    for (int32_t j = 0; j < size.width; j++)
      for (int32_t c = 0; c < image->channels; c++)
        *to++ = interpolate(image, pad, row, columns[j], c);
  }
}
