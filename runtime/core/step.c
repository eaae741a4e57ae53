/* core/step.c: steps on a device, several of which may be in flight. No float here: this file compiles with
 * -mgeneral-regs-only. */
#include "core/internal.h"
#include "core/words.h"

/* Rows from `count` on repeat the first ones, so that calibration sees samples only. */
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
  int32_t labels = nitic_label_count(s->program);
  for (int32_t row = 0; row < count; row++)
    if (s->label[row] < -1 || s->label[row] >= labels)
      return nitic_fail(NITIC_MISMATCH, "label %d in row %d: the program has classes 0 to %d", s->label[row], row,
                        labels - 1);
  return NITIC_OK;
}

static int check_normalised(const nitic_session *s) {
  if (nitic_session_normalised(s))
    return NITIC_OK;
  return nitic_fail(NITIC_USAGE, "the input has no statistics yet: give the training set to nitic_set_statistics");
}

/* ---- runs in flight */

static int32_t count_labels(const nitic_session *s) {
  int32_t count = 0;
  for (int32_t row = 0; row < s->program->batch; row++)
    count += s->label[row] >= 0;
  return count;
}

static int finish_oldest(nitic_session *s) {
  nitic_flight flight = s->flights[0];
  int status = nitic_device_wait(s->device);
  memmove(s->flights, s->flights + 1, (size_t)--s->flight_count * sizeof flight);
  if (status != NITIC_OK || flight.kind > NITIC_EVAL_STEP)
    return status;
  nitic_metrics now = {.loss = *s->loss, .correct = *s->correct, .count = flight.count};
  nitic_metrics_add(&s->finished, &now);
  if (flight.kind == NITIC_TRAIN_STEP)
    nitic_metrics_add(&s->progress.running, &now);
  return NITIC_OK;
}

/* Afterwards the next batch may be written to the input tensors. */
static int start(nitic_session *s, nitic_kind kind) {
  nitic_flight flight = {kind, count_labels(s)};
  int status = nitic_device_run(s->device, kind);
  if (status != NITIC_OK)
    return status;
  s->flights[s->flight_count++] = flight;
  nitic_device_batch(s->device, &s->input, &s->label);
  return s->flight_count == nitic_device_depth(s->device) ? finish_oldest(s) : NITIC_OK;
}

int nitic_settle(nitic_session *s) {
  int status = NITIC_OK;
  while (s->flight_count > 0) {
    int now = finish_oldest(s);
    status = status == NITIC_OK ? now : status;
  }
  return status;
}

nitic_metrics nitic_take_metrics(nitic_session *s) {
  nitic_metrics sum = s->finished;
  s->finished = (nitic_metrics){0};
  return sum;
}

static int collect(nitic_session *s, nitic_metrics *metrics) {
  int status = nitic_settle(s);
  nitic_metrics sum = nitic_take_metrics(s);
  if (status == NITIC_OK && metrics)
    *metrics = sum;
  return status;
}

/* ---- the functions */

int nitic_step_start(nitic_session *s) {
  int status = check_labels(s, s->program->batch);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status == NITIC_OK)
    status = nitic_raise_rates(s);
  if (status != NITIC_OK)
    return status;
  if (s->step)
    *s->step = (int32_t)s->progress.step;
  if (s->seed)
    *s->seed = s->progress.seed;
  status = start(s, NITIC_TRAIN_STEP);
  if (status != NITIC_OK)
    return status;
  s->progress.step++;
  s->progress.epoch_step++;
  return NITIC_OK;
}

int nitic_step(nitic_session *s, const uint8_t *samples, const int32_t *labels, nitic_metrics *metrics) {
  fill_input(s, samples, s->program->batch);
  fill_label(s, labels, s->program->batch);
  int status = nitic_step_start(s);
  return status == NITIC_OK ? collect(s, metrics) : status;
}

int nitic_eval_start(nitic_session *s, int32_t count) {
  fill_input(s, NULL, count);
  fill_label(s, NULL, count);
  int status = check_labels(s, count);
  if (status == NITIC_OK)
    status = check_normalised(s);
  return status == NITIC_OK ? start(s, NITIC_EVAL_STEP) : status;
}

int nitic_eval(nitic_session *s, const uint8_t *samples, const int32_t *labels, int32_t count, nitic_metrics *metrics) {
  int status = check_count(s, count);
  if (status != NITIC_OK)
    return status;
  fill_input(s, samples, count);
  fill_label(s, labels, count);
  status = nitic_eval_start(s, count);
  return status == NITIC_OK ? collect(s, metrics) : status;
}

/* Runs a function that needs no labels, and waits for it. */
static int run(nitic_session *s, nitic_kind kind, const uint8_t *samples, int32_t count) {
  int status = check_count(s, count);
  if (status == NITIC_OK)
    status = check_normalised(s);
  if (status != NITIC_OK)
    return status;
  fill_input(s, samples, count);
  status = start(s, kind);
  return status == NITIC_OK ? nitic_settle(s) : status;
}

int nitic_predict(nitic_session *s, const uint8_t *samples, int32_t count, int8_t *logits, int32_t *exponent) {
  int status = run(s, NITIC_LOGITS, samples, count);
  if (status == NITIC_OK && logits)
    memcpy(logits, s->logits, (size_t)count * (size_t)s->program->classes);
  if (status == NITIC_OK && exponent)
    *exponent = *s->logits_exponent;
  return status;
}

int nitic_calibrate(nitic_session *s, const uint8_t *samples, int32_t count) {
  return run(s, NITIC_CALIBRATION, samples, count);
}
