/* hosted/shuffle.c: the order of an epoch, with the keys of all samples in memory. */
#include <stdlib.h>

#include "core/internal.h"

typedef struct {
  uint64_t key;
  int64_t index;
} shuffle_item;

static int compare_items(const void *a, const void *b) {
  const shuffle_item *x = a, *y = b;
  if (x->key != y->key)
    return x->key < y->key ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

/* By rising key, by rising i where keys are equal: nitic_shuffle_key. */
int nitic_shuffle(int64_t count, int64_t seed, int64_t epoch, int64_t *order) {
  if (count < 1)
    return NITIC_OK;
  shuffle_item *items = calloc((size_t)count, sizeof *items);
  if (!items)
    return nitic_fail(NITIC_RUNTIME, "no memory to shuffle %lld samples", (long long)count);
  for (int64_t i = 0; i < count; i++)
    items[i] = (shuffle_item){nitic_shuffle_key(i, seed, epoch), i};
  qsort(items, (size_t)count, sizeof *items, compare_items);
  for (int64_t i = 0; i < count; i++)
    order[i] = items[i].index;
  free(items);
  return NITIC_OK;
}
