/* data/resample.c: see resample.h. */
#include "data/resample.h"

static int32_t clamp(int64_t value, int64_t least, int64_t most) {
  return (int32_t)(value < least ? least : value > most ? most : value);
}

/* The two pixels that a pixel of the result lies between, and how far it is from the first, in 256ths. */
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
  return image->at[y * image->row + x * image->column + c * image->channel] ^ image->sign_bit;
}

static uint8_t interpolate(const nitic_image *image, const uint8_t *pad, tap y, tap x, int32_t c) {
  int32_t top = pixel(image, pad, y.first, x.first, c) * (256 - x.fraction) +
                pixel(image, pad, y.first, x.second, c) * x.fraction;
  int32_t bottom = pixel(image, pad, y.second, x.first, c) * (256 - x.fraction) +
                   pixel(image, pad, y.second, x.second, c) * x.fraction;
  return (uint8_t)((top * (256 - y.fraction) + bottom * y.fraction + (1 << 15)) >> 16);
}

/* Copies one channel of row i of a box; pixels of the result are image->channels bytes apart. */
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
    *to = *from ^ image->sign_bit;
  for (int32_t j = end; j < width; j++, to += step)
    *to = pad[c];
}

/* Gives what interpolation would, but faster, where the box has the size of the result. */
static void copy_box(const nitic_image *image, const nitic_box *box, const uint8_t *pad, uint8_t *to) {
  for (int32_t i = 0; i < box->size.height; i++, to += (size_t)box->size.width * (size_t)image->channels)
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
