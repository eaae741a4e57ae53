/* step.c: the step loop. Training happens here and in the kernels, and nowhere is there a float: this file compiles
 * with -mgeneral-regs-only. */
#include <stdatomic.h>
#include <string.h>

#include "internal.h"

typedef struct {
  nitic_pool *pool;
  const nitic_bound *function;
  int threads;
  _Atomic int32_t failed_call; /* index + 1 of a call that failed, 0 = none */
} run_state;

/* Every thread makes every call, with its share of the units; a barrier stands between two phases. After a failure the
 * rest still runs: stopping early would leave other threads alone in a barrier. */
static void run_calls(void *argument, int thread) {
  run_state *run = argument;
  void **buffers = run->function->buffers;
  for (uint32_t i = 0; i < run->function->call_count; i++) {
    const nitic_call *call = &run->function->calls[i];
    if (call->starts_phase)
      nitic_pool_barrier(run->pool);
    int64_t units = call->units;
    nitic_ctx ctx = {thread, (int32_t)(units * thread / run->threads), (int32_t)(units * (thread + 1) / run->threads)};
    if (call->kernel(buffers, &ctx) != 0)
      atomic_store(&run->failed_call, (int32_t)i + 1);
    buffers += call->buffer_count;
  }
}

int nitic_run(nitic_pool *pool, const nitic_bound *function) {
  run_state run = {.pool = pool, .function = function, .threads = nitic_pool_threads(pool)};
  nitic_pool_run(pool, run_calls, &run);
  int32_t failed = atomic_load(&run.failed_call);
  if (failed == 0)
    return NITIC_OK;
  return nitic_fail(NITIC_RUNTIME, "kernel %s (call %d) failed", function->calls[failed - 1].name, failed - 1);
}

/* Rows from `count` on repeat the first ones: calibration then sees nothing but samples. */
static void fill_input(nitic_session *s, const uint8_t *samples, int32_t count) {
  if (samples)
    memcpy(s->input, samples, (size_t)count * s->sample_bytes);
  for (int32_t row = count; row < s->program->batch; row++)
    memcpy(s->input + (size_t)row * s->sample_bytes, s->input + (size_t)(row % count) * s->sample_bytes,
           s->sample_bytes);
}

static void fill_label(nitic_session *s, const int32_t *labels, int32_t count) {
  if (labels)
    memcpy(s->label, labels, (size_t)count * sizeof *labels);
  for (int32_t row = count; row < s->program->batch; row++)
    s->label[row] = -1;
}

static int check_count(const nitic_session *s, int32_t count) {
  if (count < 1 || count > s->program->batch)
    return nitic_fail(NITIC_USAGE, "%d samples given: a batch holds 1 to %d", count, s->program->batch);
  return NITIC_OK;
}

static int check_labels(const nitic_session *s, int32_t count) {
  for (int32_t row = 0; row < count; row++)
    if (s->label[row] < -1 || s->label[row] >= s->program->classes)
      return nitic_fail(NITIC_MISMATCH, "label %d in row %d: the program has classes 0 to %d", s->label[row], row,
                        s->program->classes - 1);
  return NITIC_OK;
}

static int check_normalised(const nitic_session *s) {
  if (nitic_session_normalised(s))
    return NITIC_OK;
  return nitic_fail(NITIC_USAGE, "the input has no statistics yet: give the training set to nitic_set_statistics");
}

static void read_metrics(const nitic_session *s, nitic_metrics *metrics) {
  int64_t count = 0;
  for (int32_t row = 0; row < s->program->batch; row++)
    count += s->label[row] >= 0;
  *metrics = (nitic_metrics){.loss = *s->loss, .correct = *s->correct, .count = count};
}

static void advance(nitic_progress *progress, const nitic_metrics *metrics) {
  progress->step++;
  progress->epoch_step++;
  progress->running.loss += metrics->loss;
  progress->running.correct += metrics->correct;
  progress->running.count += metrics->count;
}

int nitic_step(nitic_session *s, const uint8_t *samples, const int32_t *labels, nitic_metrics *metrics) {
  int32_t batch = s->program->batch;
  fill_input(s, samples, batch);
  fill_label(s, labels, batch);
  int status = check_labels(s, batch);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status != NITIC_OK)
    return status;
  if (s->step)
    *s->step = (int32_t)s->progress.step;
  if (s->seed)
    *s->seed = s->progress.seed;
  status = nitic_run(s->pool, &s->train_step);
  if (status != NITIC_OK)
    return status;
  nitic_metrics now;
  read_metrics(s, &now);
  advance(&s->progress, &now);
  if (metrics)
    *metrics = now;
  return NITIC_OK;
}

int nitic_eval(nitic_session *s, const uint8_t *samples, const int32_t *labels, int32_t count, nitic_metrics *metrics) {
  int status = check_count(s, count);
  if (status != NITIC_OK)
    return status;
  fill_input(s, samples, count);
  fill_label(s, labels, count);
  status = check_labels(s, count);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status == NITIC_OK)
    status = nitic_run(s->pool, &s->eval_step);
  if (status == NITIC_OK && metrics)
    read_metrics(s, metrics);
  return status;
}

int nitic_predict(nitic_session *s, const uint8_t *samples, int32_t count, int8_t *logits, int32_t *exponent) {
  int status = check_count(s, count);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status != NITIC_OK)
    return status;
  fill_input(s, samples, count);
  status = nitic_run(s->pool, &s->predict);
  if (status == NITIC_OK && logits)
    memcpy(logits, s->logits, (size_t)count * (size_t)s->program->classes);
  if (status == NITIC_OK && exponent)
    *exponent = *s->logits_exponent;
  return status;
}

int nitic_calibrate(nitic_session *s, const uint8_t *samples, int32_t count) {
  int status = check_count(s, count);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status != NITIC_OK)
    return status;
  fill_input(s, samples, count);
  return nitic_run(s->pool, &s->calibrate);
}
