/* core/augment.c: see augment.h. */
#include "core/augment.h"

#include "core/words.h"

static bool take_pad(const char **text, int32_t *pad) {
  const char *start = *text;
  for (*pad = 0; **text >= '0' && **text <= '9' && *pad <= NITIC_MAX_PAD; ++*text)
    *pad = *pad * 10 + (**text - '0');
  return *text > start && *pad >= 1 && *pad <= NITIC_MAX_PAD;
}

/* Takes one word. False where it is none, or comes twice. */
static bool take_step(nitic_augment *a, const char **text) {
  nitic_augment before = *a;
  if (nitic_take_word(text, "flip")) {
    a->flip = true;
    return !before.flip;
  }
  bool cropped = before.crop || before.resized_crop;
  if (nitic_take_word(text, "resized-crop")) {
    a->resized_crop = true;
    return !cropped;
  }
  if (!nitic_take_word(text, "crop"))
    return false;
  a->crop = true;
  a->pad = NITIC_DEFAULT_PAD;
  return !cropped && (!nitic_take_word(text, ":") || take_pad(text, &a->pad));
}

bool nitic_augment_parse(nitic_augment *augment, const char *text) {
  *augment = (nitic_augment){0};
  if (nitic_same(text, "none"))
    return true;
  do
    if (!take_step(augment, &text))
      return false;
  while (nitic_take_word(&text, ","));
  return *text == 0;
}
