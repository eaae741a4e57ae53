/* Learns from a sensor as it goes: a sample at a time is labelled by the user, and a batch of them is a step. On
 * Arduino `learner_begin` belongs into setup() and `learner_take` into loop(). It calls nothing but nitic.h. */
#include "nitic.h"

static uint64_t memory[NITIC_PROGRAM_BYTES / 8] __attribute__((aligned(64)));
static uint8_t samples[NITIC_BATCH][NITIC_SAMPLE_BYTES];
static int32_t labels[NITIC_BATCH];
static nitic_session *session;
static int collected;

/* To be replaced by the board's own: a sample, and its class or -1 where nobody says it. */
__attribute__((weak)) int32_t read_sensor(uint8_t *sample) {
  for (int i = 0; i < NITIC_SAMPLE_BYTES; i++)
    sample[i] = (uint8_t)(i * 7);
  return 0;
}

__attribute__((weak)) void show_class(int32_t class) { (void)class; }

static int learner_begin(void) {
  int status = nitic_session_at(&nitic_program_instance, memory, sizeof memory, &session);
  if (status == NITIC_OK)
    status = nitic_configure(session, "schedule", "constant");
  if (status == NITIC_OK)
    status = nitic_begin_epoch(session, 0);
  return status;
}

static int32_t largest(const int8_t *logits) {
  int32_t found = 0;
  for (int32_t i = 1; i < NITIC_CLASSES; i++)
    if (logits[i] > logits[found])
      found = i;
  return found;
}

/* A labelled sample waits for its batch; of the others the class is predicted, once something was learnt. */
static int learner_take(void) {
  int8_t logits[NITIC_CLASSES];
  uint8_t *sample = samples[collected];
  int32_t label = read_sensor(sample);
  if (label < 0) {
    if (!nitic_session_normalised(session) || nitic_session_untrained(session))
      return NITIC_OK;
    int status = nitic_predict(session, sample, 1, logits, NULL);
    if (status == NITIC_OK)
      show_class(largest(logits));
    return status;
  }
  labels[collected++] = label;
  if (collected < NITIC_BATCH)
    return NITIC_OK;
  collected = 0;
  int status = NITIC_OK;
  if (!nitic_session_normalised(session)) /* or compile with --mean and --std */
    status = nitic_set_statistics(session, *samples, NITIC_BATCH);
  return status == NITIC_OK ? nitic_step(session, *samples, labels, NULL) : status;
}

int main(void) {
  int status = learner_begin();
  while (status == NITIC_OK)
    status = learner_take();
  return status;
}
