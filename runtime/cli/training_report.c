/* cli/training_report.c: see training_report.h. */
#include "cli/training_report.h"

#include <stdlib.h>
#include <string.h>

#include "cli/numbers.h"
#include "hosted/json.h"

static nitic_values values_now(const nitic_session *s) {
  nitic_values values = {0};
  const nitic_progress *p = &s->progress;
  nitic_hyper_values(&s->hyper, s->program->batch, p->epoch, p->epochs, p->step, &values);
  return values;
}

/* ---- the log; a line that cannot be written is reported once and does not stop the training */

static void write_line(nitic_report *r, nitic_text *text) {
  if (!text->failed && nitic_log_line(&r->log, text->data) != NITIC_OK)
    fprintf(stderr, "%s\n", nitic_last_error());
  free(text->data);
}

static void add_metrics(nitic_text *text, const nitic_session *s, const char *loss, const char *accuracy,
                        const nitic_metrics *metrics) {
  char number[NITIC_NUMBER_LENGTH];
  nitic_text_add_key(text, loss);
  nitic_text_add(text, "%s", nitic_fixed(number, nitic_loss_e4(s->program, metrics), 4));
  nitic_text_add_key(text, accuracy);
  nitic_text_add(text, "%s", nitic_fixed(number, nitic_accuracy_e4(metrics), 4));
}

static nitic_text begin_line(const char *event) {
  nitic_text text = {0};
  nitic_text_add(&text, "{");
  nitic_text_add_string(&text, "event", event);
  return text;
}

static void add_configuration(nitic_text *text, const nitic_session *s) {
  static const char *const options[] = {"lr", "momentum", "schedule", "warmup", "gb", "weight-decay", "augment"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    nitic_text_add_string(text, options[i], nitic_configuration(s, options[i]));
}

static void log_start(nitic_report *r, const nitic_session *s) {
  const nitic_progress *p = &s->progress;
  nitic_text text = begin_line("start");
  nitic_text_add_string(&text, "model", s->program->model);
  nitic_text_add_string(&text, "recipe", s->program->recipe);
  nitic_text_add_string(&text, "identity", s->program->identity);
  nitic_text_add_integer(&text, "batch", s->program->batch);
  nitic_text_add_integer(&text, "samples", p->samples);
  nitic_text_add_integer(&text, "seed", p->seed);
  nitic_text_add_integer(&text, "epochs", p->epochs);
  nitic_text_add_integer(&text, "step", p->step);
  add_configuration(&text, s);
  nitic_text_add_string(&text, "variant", nitic_session_variant(s));
  nitic_text_add_integer(&text, "threads", nitic_session_threads(s));
  if (nitic_device_name(s->device))
    nitic_text_add_string(&text, "device", nitic_device_name(s->device));
  nitic_text_add(&text, "}");
  write_line(r, &text);
}

static void log_interval(nitic_report *r, const nitic_session *s, int64_t milliseconds) {
  const nitic_progress *p = &s->progress;
  nitic_values values = values_now(s);
  nitic_text text = begin_line("interval");
  nitic_text_add_integer(&text, "epoch", p->epoch + 1);
  nitic_text_add_integer(&text, "epoch_step", p->epoch_step);
  nitic_text_add_integer(&text, "step", p->step);
  add_metrics(&text, s, "loss", "accuracy", &r->interval);
  nitic_text_add_integer(&text, "rate_m", values.rate.m);
  nitic_text_add_integer(&text, "rate_k", values.rate.k);
  if (*nitic_configuration(s, "gb"))
    nitic_text_add_integer(&text, "gb", values.gb);
  nitic_text_add_integer(&text, "samples", r->interval.count);
  nitic_text_add_integer(&text, "milliseconds", milliseconds);
  nitic_text_add(&text, "}");
  write_line(r, &text);
}

static void add_clipped(nitic_text *text, const nitic_session *s) {
  const char *comma = "";
  nitic_text_add_key(text, "clipped");
  nitic_text_add(text, "{");
  for (uint32_t i = 0; i < s->program->tensor_count; i++) {
    int64_t clipped = nitic_clipped(s, &s->program->tensors[i]);
    if (clipped == 0)
      continue;
    nitic_text_add(text, "%s", comma);
    nitic_text_add_quoted(text, s->program->tensors[i].name);
    nitic_text_add(text, ":%lld", (long long)clipped);
    comma = ",";
  }
  nitic_text_add(text, "}");
}

static void log_epoch(nitic_report *r, const nitic_session *s, const nitic_metrics *trained,
                      const nitic_metrics *tested) {
  nitic_text text = begin_line("epoch");
  nitic_text_add_integer(&text, "epoch", s->progress.epoch);
  nitic_text_add_integer(&text, "step", s->progress.step);
  add_metrics(&text, s, "train_loss", "train_accuracy", trained);
  if (tested->count > 0)
    add_metrics(&text, s, "test_loss", "test_accuracy", tested);
  add_clipped(&text, s);
  nitic_text_add_integer(&text, "milliseconds", nitic_now() - r->epoch_start);
  nitic_text_add(&text, "}");
  write_line(r, &text);
}

/* ---- standard error, for people */

/* A few numbers at a limit do no harm, and recipe niti always has some. */
static void say_clipped(const nitic_session *s) {
  char number[NITIC_NUMBER_LENGTH];
  for (uint32_t i = 0; i < s->program->tensor_count; i++) {
    const nitic_tensor *tensor = &s->program->tensors[i];
    int64_t clipped = nitic_clipped(s, tensor), count = nitic_elements(tensor);
    if (clipped * 100 >= count && clipped > 0)
      fprintf(stderr, "%s: %lld of %lld numbers (%s %%) stand at the limit of their type\n", tensor->name,
              (long long)clipped, (long long)count, nitic_fixed(number, clipped * 10000 / count, 2));
  }
}

static void say_integers(nitic_report *r, const nitic_session *s) {
  nitic_values v = r->said = values_now(s);
  fprintf(stderr, "learning rate %s, schedule %s: now %d * 2^%d", s->hyper.lr_text, s->hyper.schedule_text,
          v.unscaled.m, -v.unscaled.k);
  if (nitic_tensor_of(s->program, NITIC_HYPER, "rate_m"))
    fprintf(stderr, ", with the batch folded in %d * 2^%d", v.rate.m, -v.rate.k);
  if (s->progress.step < s->hyper.warmup)
    fprintf(stderr, ", rising until step %lld", (long long)s->hyper.warmup);
  if (s->program->momentum)
    fprintf(stderr, "; momentum %d/256", v.momentum);
  if (s->program->momentum && s->hyper.decay >= 0)
    fprintf(stderr, "; weight decay 2^-%d", s->hyper.decay);
  if (nitic_tensor_of(s->program, NITIC_HYPER, "shrink"))
    fprintf(stderr, "; weight decay %s: now %d * 2^-24", s->hyper.decay_text, v.shrink);
  if (*nitic_configuration(s, "gb"))
    fprintf(stderr, "; gb %s: now %d", s->hyper.gb_text, v.gb);
  if (strcmp(s->hyper.augment_text, "none") != 0)
    fprintf(stderr, "; augmentation %s", s->hyper.augment_text);
  fputc('\n', stderr);
}

/* Says what a schedule has changed since it was last said. */
static void say_changes(nitic_report *r, const nitic_session *s) {
  nitic_values v = values_now(s);
  bool has_gb = *nitic_configuration(s, "gb") != 0;
  bool same =
      v.unscaled.m == r->said.unscaled.m && v.unscaled.k == r->said.unscaled.k && (v.gb == r->said.gb || !has_gb);
  r->said = v;
  if (same)
    return;
  fprintf(stderr, "epoch %lld/%lld: learning rate %d * 2^%d", (long long)s->progress.epoch + 1,
          (long long)s->progress.epochs, v.unscaled.m, -v.unscaled.k);
  if (has_gb)
    fprintf(stderr, ", gb %d", v.gb);
  fputc('\n', stderr);
}

static void say_start(nitic_report *r, const nitic_session *s) {
  const nitic_progress *p = &s->progress;
  const char *device = nitic_device_name(s->device);
  fprintf(stderr, "%s, recipe %s: %lld samples in %lld batches of %d, %lld epochs, seed %lld, variant %s, ",
          s->program->model, s->program->recipe, (long long)p->samples, (long long)r->steps, s->program->batch,
          (long long)p->epochs, (long long)p->seed, nitic_session_variant(s));
  if (device)
    fprintf(stderr, "device %s, ", device);
  fprintf(stderr, "threads %d\n", nitic_session_threads(s));
  if (p->step > 0)
    fprintf(stderr, "going on after step %lld (%lld epochs and %lld steps)\n", (long long)p->step, (long long)p->epoch,
            (long long)p->epoch_step);
  say_integers(r, s);
}

int nitic_report_open(nitic_report *r, const nitic_session *s, int64_t samples, int64_t every, const char *log,
                      bool append) {
  *r = (nitic_report){.bar = nitic_bar_open(s->program), .every = every, .steps = samples / s->program->batch};
  int status = nitic_log_open(&r->log, log, append);
  if (status != NITIC_OK)
    return status;
  say_start(r, s);
  log_start(r, s);
  return r->log.failed ? NITIC_RUNTIME : NITIC_OK;
}

void nitic_report_begin(nitic_report *r, const nitic_session *s) {
  r->epoch_start = r->interval_start = nitic_now();
  r->first_step = s->progress.epoch_step;
  say_changes(r, s);
  r->interval = (nitic_metrics){0};
}

static void end_interval(nitic_report *r, const nitic_session *s) {
  char loss[NITIC_NUMBER_LENGTH], accuracy[NITIC_NUMBER_LENGTH];
  int64_t now = nitic_now();
  log_interval(r, s, now - r->interval_start);
  if (!r->bar.terminal)
    fprintf(stderr, "epoch %lld/%lld step %lld/%lld: loss %s, accuracy %s %%\n", (long long)s->progress.epoch + 1,
            (long long)s->progress.epochs, (long long)s->progress.epoch_step, (long long)r->steps,
            nitic_fixed(loss, nitic_loss_e4(s->program, &r->interval), 4),
            nitic_fixed(accuracy, nitic_accuracy_e4(&r->interval), 2));
  r->interval = (nitic_metrics){0};
  r->interval_start = now;
}

bool nitic_report_is_due(const nitic_report *r, const nitic_session *s) {
  return s->progress.epoch_step % r->every == 0 || s->progress.epoch_step == r->steps;
}

void nitic_report_step(nitic_report *r, const nitic_session *s, const nitic_metrics *metrics) {
  const nitic_progress *p = &s->progress;
  nitic_metrics_add(&r->interval, metrics);
  if (nitic_report_is_due(r, s))
    end_interval(r, s);
  nitic_bar_draw(&r->bar, p, r->steps, nitic_now() - r->epoch_start, p->epoch_step - r->first_step);
}

void nitic_report_epoch(nitic_report *r, const nitic_session *s, const nitic_metrics *trained,
                        const nitic_metrics *tested) {
  char loss[NITIC_NUMBER_LENGTH], accuracy[NITIC_NUMBER_LENGTH];
  nitic_report_clear(r);
  printf("epoch %lld: train loss %s accuracy %s %%", (long long)s->progress.epoch,
         nitic_fixed(loss, nitic_loss_e4(s->program, trained), 4),
         nitic_fixed(accuracy, nitic_accuracy_e4(trained), 2));
  if (tested->count > 0)
    printf(", test loss %s accuracy %s %%", nitic_fixed(loss, nitic_loss_e4(s->program, tested), 4),
           nitic_fixed(accuracy, nitic_accuracy_e4(tested), 2));
  printf("\n");
  fflush(stdout);
  say_clipped(s);
  log_epoch(r, s, trained, tested);
}

void nitic_report_clear(nitic_report *r) { nitic_bar_clear(&r->bar); }

int nitic_report_close(nitic_report *r, int status) {
  if (status != NITIC_OK) {
    if (r->log.file)
      fclose(r->log.file);
    return status;
  }
  return nitic_log_close(&r->log);
}
