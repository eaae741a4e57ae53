/* augment.h: which part of a stored image becomes a sample, and how. Integers alone; docs/data.md is the specification,
 * nitic/data.py has the same in NumPy. */
#ifndef NITIC_AUGMENT_H
#define NITIC_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NITIC_MAX_SIDE = 4096, NITIC_MAX_STORED_SIDE = 32767, NITIC_DEFAULT_PAD = 4, NITIC_MAX_PAD = 64 };

typedef struct {
  bool crop, flip, resized_crop;
  int32_t pad; /* of crop */
} nitic_augment;

typedef struct {
  int32_t height, width;
} nitic_size;

/* An image in memory, whatever the order of its channels. */
typedef struct {
  const uint8_t *at;
  ptrdiff_t row, column, channel; /* bytes from one to the next */
  nitic_size size;
  int32_t channels;
  uint8_t flip; /* of nitic_dataset */
} nitic_image;

/* A rectangle of an image. That of crop reaches beyond it. */
typedef struct {
  int32_t y, x;
  nitic_size size;
  bool mirrored;
} nitic_box;

/* What the random numbers of an epoch are made of, and the pixel that stands for the mean outside of an image. */
typedef struct {
  nitic_augment augment;
  uint64_t seed;
  int64_t epoch;
  const uint8_t *pad; /* one for each channel */
} nitic_draw;

static inline bool nitic_same_size(nitic_size a, nitic_size b) { return a.height == b.height && a.width == b.width; }

/* "none", or "crop", "crop:P", "flip" and "resized-crop" with commas; crop and resized-crop exclude each other. */
bool nitic_augment_parse(nitic_augment *augment, const char *text);

/* What evaluation sees: the whole image where it has the input's size, else 7/8 of the largest box of its shape. */
nitic_box nitic_box_centre(nitic_size stored, nitic_size input);
/* What training sees of sample `index`. */
nitic_box nitic_box_draw(const nitic_draw *draw, nitic_size stored, nitic_size input, int64_t index);

/* The pixels of a box, interpolated to `size`, HxWxC. `pad` may be NULL where the box lies in the image. */
void nitic_resample(const nitic_image *image, const nitic_box *box, const uint8_t *pad, nitic_size size, uint8_t *to);

#endif
