/* data/resample.h: the pixels of a part of an image, at another size. */
#ifndef NITIC_DATA_RESAMPLE_H
#define NITIC_DATA_RESAMPLE_H

#include <stddef.h>

#include "data/box.h"

/* An image in memory, whatever the order of its channels. */
typedef struct {
  const uint8_t *at;
  ptrdiff_t row, column, channel; /* bytes from one to the next */
  nitic_size size;
  int32_t channels;
  uint8_t sign_bit; /* of nitic_dataset */
} nitic_image;

/* The pixels of a box, interpolated to `size`, HxWxC. `pad` is the pixel outside of the image; it may be NULL where the
 * box lies in the image. */
void nitic_resample(const nitic_image *image, const nitic_box *box, const uint8_t *pad, nitic_size size, uint8_t *to);

#endif
