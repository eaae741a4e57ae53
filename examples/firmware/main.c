/* Trains a network from data in flash, without a heap or a libc, and gives its checkpoint to the host: the bytes of
 * `train --save` on any other machine. Where the host has a file `resume`, the run goes on from that checkpoint. */
#include "board.h"
#include "digits.h" /* SAMPLES, samples, labels: digits.py */
#include "nitic.h"

#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef SEED
#define SEED 3
#endif

static uint64_t memory[NITIC_PROGRAM_BYTES / 8] __attribute__((aligned(64)));
static int64_t order[SAMPLES];

/* What nitic has no sentence for. */
static int say(const char *what) {
  board_print(what);
  return NITIC_RUNTIME;
}

static int write_bytes(void *context, const void *bytes, size_t count) {
  bool done = board_write(*(const int *)context, bytes, count);
  return done ? NITIC_OK : say("the host cannot write the checkpoint\n");
}

static int read_bytes(void *context, uint64_t offset, void *bytes, size_t count) {
  bool done = board_read(*(const int *)context, (uint32_t)offset, bytes, count);
  return done ? NITIC_OK : say("the host cannot read that many bytes of the checkpoint\n");
}

static int configure(nitic_session *session) {
  static const char *const options[][2] = {{"lr", "2^-6"}, {"momentum", "0.9"}, {"schedule", "constant"}};
  int status = NITIC_OK;
  for (size_t i = 0; status == NITIC_OK && i < sizeof options / sizeof *options; i++)
    status = nitic_configure(session, options[i][0], options[i][1]);
  return status;
}

/* A new run, or the one of the file `resume`. */
static int begin(nitic_session *session) {
  nitic_progress *progress = nitic_session_progress(session);
  int file = board_open("resume", BOARD_READ), status = configure(session);
  *progress = (nitic_progress){.seed = SEED, .epochs = EPOCHS};
  if (status == NITIC_OK)
    status = nitic_set_statistics(session, *samples, SAMPLES);
  if (file >= 0) {
    if (status == NITIC_OK)
      status = nitic_checkpoint_read(session, read_bytes, &file);
    board_close(file);
  }
  progress->epochs = EPOCHS;
  progress->samples = SAMPLES;
  return status;
}

/* The batch of the next step: samples are copied from flash to where the step reads them. */
static void gather(nitic_session *session, const int64_t *rows) {
  uint8_t *input = nitic_session_tensor(session, "input");
  int32_t *label = nitic_session_tensor(session, "label");
  for (int row = 0; row < NITIC_BATCH; row++) {
    for (int i = 0; i < NITIC_SAMPLE_BYTES; i++)
      *input++ = samples[rows[row]][i];
    label[row] = labels[rows[row]];
  }
}

static int train_epoch(nitic_session *session) {
  nitic_progress *progress = nitic_session_progress(session);
  int status = nitic_begin_epoch(session, progress->epoch);
  if (status == NITIC_OK)
    status = nitic_shuffle(SAMPLES, progress->seed, progress->epoch, order);
  while (status == NITIC_OK && progress->epoch_step < SAMPLES / NITIC_BATCH) {
    gather(session, order + progress->epoch_step * NITIC_BATCH);
    status = nitic_step(session, NULL, NULL, NULL);
  }
  if (status != NITIC_OK)
    return status;
  board_print("epoch ");
  board_print_number(progress->epoch + 1);
  board_print(": ");
  board_print_number(progress->running.correct);
  board_print(" of ");
  board_print_number(progress->running.count);
  board_print(" right\n");
  progress->epoch++;
  progress->epoch_step = 0;
  progress->running = (nitic_metrics){0};
  return status;
}

static int save(nitic_session *session) {
  int file = board_open("checkpoint", BOARD_WRITE);
  if (file < 0)
    return say("the host cannot write the checkpoint\n");
  int status = nitic_checkpoint_write(session, write_bytes, &file);
  board_close(file);
  return status;
}

int main(void) {
  nitic_session *session;
  int status = nitic_session_at(&nitic_program_instance, memory, sizeof memory, &session);
  if (status == NITIC_OK)
    status = begin(session);
  while (status == NITIC_OK && nitic_session_progress(session)->epoch < EPOCHS)
    status = train_epoch(session);
  if (status == NITIC_OK)
    status = save(session);
  board_print(status == NITIC_OK ? "saved; the stack took " : nitic_last_error());
  if (status == NITIC_OK)
    board_print_number(board_stack_used());
  board_print(status == NITIC_OK ? " bytes\n" : "\n");
  return status;
}
