/* internal.h: what the files of the runtime share. Nothing here is for programs or users. */
#ifndef NITIC_INTERNAL_H
#define NITIC_INTERNAL_H

#include <stdbool.h>

#include "hyper.h"
#include "nitic.h"
#include "pool.h"

/* Keeps the sentence for nitic_last_error and returns `code`. */
int nitic_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A function of the chosen variant with the addresses its calls use, all calls' buffers one after another. */
typedef struct {
  const nitic_call *calls;
  uint32_t call_count;
  void **buffers;
} nitic_bound;

struct nitic_session {
  const nitic_program *program;
  const nitic_variant *variant;
  nitic_pool *pool;
  uint8_t *arena;
  size_t arena_bytes;
  void **addresses; /* storage of all nitic_bound.buffers */
  nitic_bound train_step, eval_step, predict, calibrate;
  uint8_t *input;
  int32_t *label, *step, *correct, *logits_exponent, *input_multiplier, *input_offset;
  int64_t *seed, *loss;
  int8_t *logits;
  size_t sample_bytes;
  int32_t channels;
  nitic_hyper hyper;
  nitic_progress progress;
};

/* The tensor of a role and a name (NULL: any): a parameter may be called `seed` or `step` too. NULL if there is none.
 */
const nitic_tensor *nitic_tensor_of(const nitic_program *program, nitic_role role, const char *name);

/* The variant to run (see nitic_session_create), and whether this CPU runs it. */
int nitic_variant_choose(const nitic_program *program, const char *name, const nitic_variant **variant);
bool nitic_variant_supported(const char *name);

/* Runs all calls with every thread of the pool; returns 0 or NITIC_RUNTIME. */
int nitic_run(nitic_pool *pool, const nitic_bound *function);

/* Four words of Philox4x32-10 for a counter and a key (numerics.md). */
void nitic_philox(const uint32_t counter[4], uint64_t key, uint32_t words[4]);

/* Integer statistics of the input, channel by channel. */
typedef struct {
  int32_t channels;
  int64_t pixels; /* per channel */
  int64_t *sum, *square_sum;
} nitic_statistics;

int nitic_statistics_init(nitic_statistics *statistics, int32_t channels);
void nitic_statistics_add(nitic_statistics *statistics, const uint8_t *samples, int64_t pixels);
int nitic_statistics_finish(nitic_statistics *statistics, int32_t *multiplier, int32_t *offset);

static inline int64_t nitic_elements(const nitic_tensor *tensor) {
  int64_t count = 1;
  for (uint32_t i = 0; i < tensor->rank; i++)
    count *= tensor->shape[i];
  return count;
}

static inline bool nitic_is_state(const nitic_tensor *tensor) {
  return tensor->role >= NITIC_WEIGHT && tensor->role <= NITIC_FROZEN;
}

static inline int nitic_bit_length(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }

#endif
