/* core/augment.h: the option augment: what training does to images. docs/data.md is the specification. */
#ifndef NITIC_CORE_AUGMENT_H
#define NITIC_CORE_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { NITIC_DEFAULT_PAD = 4, NITIC_MAX_PAD = 64 };

typedef struct {
  bool crop, flip, resized_crop;
  int32_t pad; /* of crop: pixels by which the image may be shifted */
} nitic_augment;

/* Whether anything is done at all. */
static inline bool nitic_augments(const nitic_augment *a) { return a->crop || a->flip || a->resized_crop; }

/* "none", or "crop", "crop:P", "flip" and "resized-crop" with commas; crop and resized-crop exclude each other. */
bool nitic_augment_parse(nitic_augment *augment, const char *text);

#endif
