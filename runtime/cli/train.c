/* cli/train.c: the command train. Every step is counted in nitic_progress, so a run that goes on from a checkpoint
 * makes the same steps on the same batches as one that was never interrupted. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/training_report.h"
#include "data/batch.h"
#include "data/loader.h"

enum { DEFAULT_EPOCHS = 5, DEFAULT_SEED = 1, DEFAULT_LOG_EVERY = 100 };

typedef struct {
  nitic_session *session;
  const nitic_options *options;
  nitic_dataset data, test;
  int64_t *order; /* of the samples in the current epoch */
  nitic_loader *loader;
  nitic_report report;
  bool data_changed; /* and it was said */
} training;

/* ---- preparation */

static int configure(nitic_session *s, const nitic_options *o) {
  const char *const given[][2] = {
      {"lr", o->lr}, {"momentum", o->momentum},         {"schedule", o->schedule}, {"warmup", o->warmup},
      {"gb", o->gb}, {"weight-decay", o->weight_decay}, {"augment", o->augment}};
  int status = NITIC_OK;
  for (size_t i = 0; i < sizeof given / sizeof *given && status == NITIC_OK; i++)
    if (given[i][1])
      status = nitic_configure(s, given[i][0], given[i][1]);
  return status;
}

static int open_data(training *t) {
  const nitic_program *program = t->session->program;
  int status = nitic_data_open(&t->data, program, t->options->data, NITIC_TRAIN_SPLIT);
  if (status == NITIC_OK)
    status = nitic_data_open(&t->test, program, t->options->data, NITIC_TEST_SPLIT);
  if (status == NITIC_OK && t->data.count < program->batch)
    status = nitic_fail(NITIC_MISMATCH, "%s: %lld training samples, expected at least one batch of %d",
                        t->options->data, (long long)t->data.count, program->batch);
  return status;
}

static int resume(training *t) {
  const nitic_options *o = t->options;
  nitic_progress *p = &t->session->progress;
  int status = nitic_checkpoint_load(t->session, o->resume);
  if (status != NITIC_OK)
    return status;
  if (o->seed >= 0 && o->seed != p->seed)
    return nitic_fail(NITIC_USAGE, "%s: the run has seed %lld, so --seed %lld cannot go on with it", o->resume,
                      (long long)p->seed, (long long)o->seed);
  if (p->samples != 0 && p->samples != t->data.count)
    return nitic_fail(NITIC_MISMATCH, "%s: the run has %lld training samples, %s has %lld", o->resume,
                      (long long)p->samples, o->data, (long long)t->data.count);
  int64_t steps = t->data.count / t->session->program->batch;
  if (p->epoch_step > steps) /* of a session in Python, whose epochs have any length */
    fprintf(stderr, "epoch %lld had %lld steps already and has %lld here: it counts as finished\n",
            (long long)p->epoch + 1, (long long)p->epoch_step, (long long)steps);
  if (o->epochs > 0 && o->epochs != p->epochs)
    fprintf(stderr, "the run was of %lld epochs and now is of %lld: a schedule over all epochs changes\n",
            (long long)p->epochs, (long long)o->epochs);
  return NITIC_OK;
}

static int set_progress(training *t) {
  const nitic_options *o = t->options;
  nitic_progress *p = &t->session->progress;
  int status = configure(t->session, o); /* first of all, so that a wrong option is reported as such */
  if (status == NITIC_OK && o->resume)
    status = resume(t);
  if (status == NITIC_OK && o->resume)
    status = configure(t->session, o);
  if (!o->resume)
    *p = (nitic_progress){.seed = o->seed >= 0 ? o->seed : DEFAULT_SEED, .epochs = DEFAULT_EPOCHS};
  if (o->epochs > 0)
    p->epochs = o->epochs;
  p->samples = t->data.count;
  return status;
}

static int prepare(training *t) {
  int status = open_data(t);
  if (status == NITIC_OK)
    status = set_progress(t);
  if (status == NITIC_OK)
    status = nitic_data_check_augment(&t->data, &t->session->hyper.augment);
  if (status == NITIC_OK)
    status = nitic_prepare_input(t->session, &t->data);
  if (status == NITIC_OK && t->options->save)
    status = nitic_checkpoint_probe(t->options->save);
  if (status != NITIC_OK)
    return status;
  t->order = calloc((size_t)t->data.count, sizeof *t->order);
  if (!t->order)
    return nitic_fail(NITIC_RUNTIME, "no memory for the order of %lld samples", (long long)t->data.count);
  status = nitic_loader_create(t->session, &t->data, &t->loader);
  return status == NITIC_OK ? nitic_batch_keep(t->session, &t->test, NULL) : status;
}

/* ---- the run */

static int save(const training *t) {
  return t->options->save ? nitic_checkpoint_save(t->session, t->options->save) : NITIC_OK;
}

/* The report takes the metrics of finished steps; at the end of an interval all steps are finished. */
static int one_step(training *t) {
  nitic_session *s = t->session;
  int status = nitic_loader_next(t->loader);
  if (status == NITIC_OK)
    status = nitic_step_start(s);
  if (status == NITIC_OK && nitic_report_is_due(&t->report, s))
    status = nitic_settle(s);
  if (status != NITIC_OK)
    return status;
  nitic_metrics metrics = nitic_take_metrics(s);
  nitic_report_step(&t->report, s, &metrics);
  bool saves = t->options->save_every > 0 && s->progress.step % t->options->save_every == 0;
  return saves ? save(t) : NITIC_OK;
}

/* Ends early after a signal: then epoch_step says how far it came. */
static int one_epoch(training *t) {
  nitic_progress *p = &t->session->progress;
  int status = nitic_begin_epoch(t->session, p->epoch);
  if (status == NITIC_OK)
    status = nitic_shuffle(t->data.count, p->seed, p->epoch, t->order);
  if (status == NITIC_OK) {
    nitic_loader_begin(t->loader, t->order, p->epoch_step, t->report.steps);
    nitic_report_begin(&t->report, t->session);
  }
  while (status == NITIC_OK && p->epoch_step < t->report.steps && !nitic_interrupted())
    status = one_step(t);
  return status;
}

/* Once: the run goes on. */
static void say_changed_data(training *t) {
  const char *path = t->data_changed ? NULL : nitic_file_changed();
  if (!path)
    return;
  t->data_changed = true;
  nitic_report_clear(&t->report);
  fprintf(stderr, "%s: the file was written to while this run read it: its samples may be a mixture\n", path);
}

static int finish_epoch(training *t) {
  nitic_progress *p = &t->session->progress;
  nitic_metrics trained = p->running, tested = {0};
  p->epoch++;
  p->epoch_step = 0;
  p->running = (nitic_metrics){0};
  int status = save(t);
  if (status == NITIC_OK && t->test.count > 0)
    status = nitic_evaluate_data(t->session, &t->test, &tested);
  if (status == NITIC_OK)
    status = nitic_state_read(t->session);
  if (status == NITIC_OK || status == NITIC_INTERRUPTED)
    nitic_report_epoch(&t->report, t->session, &trained, &tested);
  say_changed_data(t);
  return status;
}

/* Ends a run early, saved if it can be. The checkpoint is saved already where a signal came between two epochs; saving
 * it again does no harm. */
static int stop(training *t, int code, const char *why) {
  const nitic_progress *p = &t->session->progress;
  const char *path = t->options->save;
  int status = save(t);
  if (status != NITIC_OK)
    return status;
  if (path)
    return nitic_fail(code, "%s after step %lld (%lld epochs and %lld steps); saved, go on with --resume %s", why,
                      (long long)p->step, (long long)p->epoch, (long long)p->epoch_step, path);
  return nitic_fail(code, "%s after step %lld; nothing is saved, as there was no --save", why, (long long)p->step);
}

/* The steps before have seen the data as it was. */
static int stop_without_data(training *t) {
  char why[512];
  snprintf(why, sizeof why, "%.400s: the file became shorter while it was read, so the run stopped", nitic_file_lost());
  return stop(t, NITIC_RUNTIME, why);
}

static int run_epochs(training *t) {
  nitic_progress *p = &t->session->progress;
  int status = NITIC_OK;
  while (status == NITIC_OK && p->epoch < p->epochs && !nitic_interrupted()) {
    status = one_epoch(t);
    if (status == NITIC_OK && p->epoch_step >= t->report.steps)
      status = finish_epoch(t);
  }
  nitic_report_clear(&t->report);
  if (nitic_file_lost())
    return stop_without_data(t);
  bool unfinished = p->epoch < p->epochs || status == NITIC_INTERRUPTED;
  bool good = status == NITIC_OK || status == NITIC_INTERRUPTED;
  return nitic_interrupted() && unfinished && good ? stop(t, NITIC_INTERRUPTED, "interrupted") : status;
}

/* The checkpoint may be wanted under another name. */
static int nothing_to_do(const training *t) {
  const nitic_progress *p = &t->session->progress;
  fprintf(stderr, "nothing to do: %lld of %lld epochs are done; --epochs sets more\n", (long long)p->epoch,
          (long long)p->epochs);
  return save(t);
}

static int run(training *t) {
  const nitic_progress *p = &t->session->progress;
  int64_t every = t->options->log_every > 0 ? t->options->log_every : DEFAULT_LOG_EVERY;
  int status =
      nitic_report_open(&t->report, t->session, t->data.count, every, t->options->log, t->options->resume != NULL);
  if (status == NITIC_OK)
    status = p->epoch < p->epochs ? run_epochs(t) : nothing_to_do(t);
  if (status == NITIC_OK && t->options->save)
    fprintf(stderr, "saved %s\n", t->options->save);
  return nitic_report_close(&t->report, status);
}

int nitic_train(nitic_session *session, const nitic_options *options) {
  training t = {.session = session, .options = options};
  nitic_catch_broken_pipes();
  int status = prepare(&t);
  if (status == NITIC_OK)
    status = run(&t);
  nitic_loader_destroy(t.loader);
  free(t.order);
  nitic_data_close(&t.data);
  nitic_data_close(&t.test);
  return status;
}
