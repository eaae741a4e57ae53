/* core/internal.h: what the files of the runtime share, and programs and users do not see. */
#ifndef NITIC_CORE_INTERNAL_H
#define NITIC_CORE_INTERNAL_H

#include <stdbool.h>

#include "core/device.h"
#include "core/hyper.h"
#include "core/system.h"
#include "nitic.h"

/* Keeps the sentence for nitic_last_error and returns `code`. */
int nitic_fail(int code, const char *format, ...) NITIC_PRINTS(2, 3);

/* A run in flight: it was started, and nobody has waited for it yet. `count` rows of its batch have labels. */
typedef struct {
  nitic_kind kind;
  int32_t count;
} nitic_flight;

struct nitic_session {
  const nitic_program *program;
  nitic_device *device;
  uint8_t *memory; /* named tensors at their offsets, but not input and label */
  uint8_t *input;  /* of the next batch */
  int32_t *label;
  int32_t *step, *correct, *logits_exponent, *input_multiplier, *input_offset, *input_exponent;
  int64_t *seed, *loss;
  int8_t *logits;
  size_t sample_bytes;
  int32_t channels;
  nitic_hyper hyper;
  nitic_progress progress;
  int64_t epoch;                         /* whose rates are set */
  nitic_flight flights[NITIC_MAX_DEPTH]; /* oldest first */
  int flight_count;
  nitic_metrics finished; /* sums over the finished steps, since the last nitic_take_metrics */
};

/* The tensor of a role and a name (NULL: the first of the role), or NULL. The name alone is not enough: a parameter may
 * be called `seed` or `step` too. */
const nitic_tensor *nitic_tensor_of(const nitic_program *program, nitic_role role, const char *name);

/* The session's first half, in memory that is all zero: nitic_session_make has it from the heap. */
int nitic_session_begin(nitic_session *session, const nitic_program *program, int threads, const char *variant);

/* The two halves of nitic_session_create. After the first, tensors and checkpoints can be used, but nothing can run. */
int nitic_session_make(const nitic_program *program, int threads, const char *variant, nitic_session **session);
int nitic_session_open(nitic_session *session);

/* Sets the rates of the next step, as long as they rise from one to the next. */
int nitic_raise_rates(nitic_session *session);

/* Starts a step on the batch in the input tensors; it may be unfinished on return. */
int nitic_step_start(nitic_session *session);
int nitic_eval_start(nitic_session *session, int32_t count);
/* Waits until no run is in flight. */
int nitic_settle(nitic_session *session);
/* The sums over the steps that have finished since the last call. */
nitic_metrics nitic_take_metrics(nitic_session *session);

/* To call before the state is read, or a part of it changed: brings it to the host's memory. */
int nitic_state_read(nitic_session *session);
/* To call after the state was changed in the host's memory. */
void nitic_state_written(nitic_session *session);

/* Numbers of so many bytes each, from the machine's order to that of files or back; and all of the state. */
void nitic_turn(void *numbers, int64_t count, size_t bytes);
void nitic_turn_state(const nitic_program *program, uint8_t *memory);

/* How many numbers of a tensor of the state stand at the limit of its type. The state must have been read. */
int64_t nitic_clipped(const nitic_session *session, const nitic_tensor *tensor);

/* Four words of Philox4x32-10 for a counter and a key (numerics.md). */
void nitic_philox(const uint32_t counter[4], uint64_t key, uint32_t words[4]);
/* By which an epoch orders its samples. */
uint64_t nitic_shuffle_key(int64_t i, int64_t seed, int64_t epoch);

/* Integer statistics of the samples, channel by channel of each input. */
typedef struct {
  const nitic_program *program;
  int32_t channels; /* of all inputs */
  int64_t samples;
  int64_t *sum, *square_sum;
} nitic_statistics;

int32_t nitic_statistics_channels(const nitic_program *program);
/* `sums`: two for each channel. */
void nitic_statistics_begin(nitic_statistics *statistics, const nitic_program *program, int64_t *sums);
void nitic_statistics_add(nitic_statistics *statistics, const uint8_t *samples, int64_t count);
/* The map of the samples in the place of their sums, and its exponent. */
int nitic_statistics_map(const nitic_statistics *statistics, int32_t *multiplier, int32_t *offset, int32_t *exponent);
/* Whether the session's input takes one, and the map of the samples for it. */
int nitic_statistics_check(const nitic_session *session);
int nitic_statistics_set(nitic_session *session, nitic_statistics *statistics);
/* With sums of the heap (hosted/session.c), which the second one gives back in any case. */
int nitic_statistics_init(nitic_statistics *statistics, const nitic_program *program);
int nitic_statistics_finish(nitic_session *session, nitic_statistics *statistics);
/* Of a number below 2^62, rounded down. */
int64_t nitic_square_root(int64_t v);

static inline void nitic_metrics_add(nitic_metrics *sum, const nitic_metrics *metrics) {
  sum->loss += metrics->loss;
  sum->correct += metrics->correct;
  sum->count += metrics->count;
}

static inline int64_t nitic_elements(const nitic_tensor *tensor) {
  int64_t count = 1;
  for (uint32_t i = 0; i < tensor->rank; i++)
    count *= tensor->shape[i];
  return count;
}

static inline bool nitic_is_state(const nitic_tensor *tensor) {
  return tensor->role >= NITIC_WEIGHT && tensor->role <= NITIC_FROZEN;
}

static inline bool nitic_is_constant(const nitic_tensor *tensor) { return (tensor->offset & NITIC_APART) != 0; }

/* The elements of a named tensor, to be read. */
static inline const uint8_t *nitic_elements_of(const nitic_session *s, const nitic_tensor *tensor) {
  return nitic_is_constant(tensor) ? s->program->constants + (tensor->offset & ~NITIC_APART)
                                   : s->memory + tensor->offset;
}

static inline int nitic_bit_length(uint64_t x) {
  int length = 0;
  for (; x; x >>= 1)
    length++;
  return length;
}

#endif
