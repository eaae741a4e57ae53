/* bare/shuffle.c: the order of an epoch, by a heap sort in the memory of the order itself: keys are computed anew
 * whenever two samples are compared. */
#include "core/internal.h"

typedef struct {
  int64_t seed, epoch, *order;
} shuffle;

/* Whether sample `a` comes before `b`. */
static bool before(const shuffle *s, int64_t a, int64_t b) {
  uint64_t x = nitic_shuffle_key(a, s->seed, s->epoch), y = nitic_shuffle_key(b, s->seed, s->epoch);
  return x != y ? x < y : a < b;
}

/* Moves what stands at `i` down to its place in the heap of the first `count`, whose last sample is on top. */
static void sink(const shuffle *s, int64_t i, int64_t count) {
  int64_t moved = s->order[i];
  for (int64_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
    child += child + 1 < count && before(s, s->order[child], s->order[child + 1]);
    if (!before(s, moved, s->order[child]))
      break;
    s->order[i] = s->order[child];
    i = child;
  }
  s->order[i] = moved;
}

int nitic_shuffle(int64_t count, int64_t seed, int64_t epoch, int64_t *order) {
  shuffle s = {seed, epoch, order};
  for (int64_t i = 0; i < count; i++)
    order[i] = i;
  for (int64_t i = count / 2 - 1; i >= 0; i--)
    sink(&s, i, count);
  for (int64_t last = count - 1; last > 0; last--) {
    int64_t top = order[0];
    order[0] = order[last];
    order[last] = top;
    sink(&s, 0, last);
  }
  return NITIC_OK;
}
