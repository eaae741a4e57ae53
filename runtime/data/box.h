/* data/box.h: which part of a stored image becomes a sample. Integers alone; docs/data.md is the specification,
 * nitic/data/arrays.py has the same in NumPy. */
#ifndef NITIC_DATA_BOX_H
#define NITIC_DATA_BOX_H

#include "core/augment.h"

enum { NITIC_MAX_SIDE = 4096, NITIC_MAX_STORED_SIDE = 32767 }; /* of the program's input, and of images in files */

typedef struct {
  int32_t height, width;
} nitic_size;

/* A rectangle of an image. The one that crop draws may reach beyond the image. */
typedef struct {
  int32_t y, x;
  nitic_size size;
  bool mirrored;
} nitic_box;

/* What decides the boxes of an epoch, beside the sample's index; and the pixel outside of an image. */
typedef struct {
  nitic_augment augment;
  uint64_t seed;
  int64_t epoch;
  const uint8_t *pad; /* one value for each channel */
} nitic_draw;

static inline bool nitic_same_size(nitic_size a, nitic_size b) { return a.height == b.height && a.width == b.width; }

/* What evaluation sees: the whole image where it has the input's size, else 7/8 of the largest box of its shape. */
nitic_box nitic_box_centre(nitic_size stored, nitic_size input);
/* What training sees of sample `index`. */
nitic_box nitic_box_draw(const nitic_draw *draw, nitic_size stored, nitic_size input, int64_t index);

#endif
