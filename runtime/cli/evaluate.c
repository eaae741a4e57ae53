/* cli/evaluate.c: the commands eval and predict, and the loops over a data set that train shares with them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/numbers.h"
#include "data/batch.h"
#include "hosted/replace.h"

enum { STATISTICS_IMAGES = 4096 }; /* of packed images, which may be a terabyte: so many give good statistics */

int nitic_prepare_input(nitic_session *s, const nitic_dataset *data) {
  if (nitic_session_normalised(s))
    return NITIC_OK;
  int64_t every = data->packed ? (data->count + STATISTICS_IMAGES - 1) / STATISTICS_IMAGES : 1;
  fprintf(stderr, "normalising the input by the statistics of %lld samples\n",
          (long long)((data->count + every - 1) / every));
  nitic_statistics statistics;
  int status = nitic_statistics_init(&statistics, s->program);
  if (status != NITIC_OK)
    return status;
  for (int64_t i = 0; i < data->count && !nitic_interrupted(); i += every) {
    nitic_data_get(data, i, s->input, NULL);
    nitic_statistics_add(&statistics, s->input, 1);
  }
  status = nitic_statistics_finish(s, &statistics);
  if (nitic_interrupted())
    return nitic_fail(NITIC_INTERRUPTED, "interrupted");
  return nitic_file_lost() ? nitic_file_check_lost() : status;
}

static int32_t batch_at(const nitic_session *s, const nitic_dataset *data, int64_t first) {
  int64_t left = data->count - first;
  return left < s->program->batch ? (int32_t)left : s->program->batch;
}

int nitic_prepare_tops(nitic_session *s, const nitic_dataset *data) {
  if (!nitic_session_untrained(s))
    return NITIC_OK;
  int32_t count = batch_at(s, data, 0);
  fprintf(stderr, "these weights were never trained: calibrating the exponents on the first %d samples\n", count);
  int status = nitic_batch_fill(s, data, 0, count);
  return status == NITIC_OK ? nitic_calibrate(s, NULL, count) : status;
}

int nitic_evaluate_data(nitic_session *s, const nitic_dataset *data, nitic_metrics *sum) {
  *sum = (nitic_metrics){0};
  int status = nitic_prepare_tops(s, data);
  for (int64_t first = 0; first < data->count && status == NITIC_OK; first += s->program->batch) {
    if (nitic_interrupted())
      return nitic_fail(NITIC_INTERRUPTED, "interrupted");
    int32_t count = batch_at(s, data, first);
    status = nitic_batch_fill(s, data, first, count);
    if (status == NITIC_OK)
      status = nitic_eval_start(s, count);
  }
  if (status == NITIC_OK)
    status = nitic_settle(s);
  *sum = nitic_take_metrics(s);
  return status;
}

/* ---- eval and predict */

static int load(nitic_session *s, const nitic_options *o) {
  return o->load ? nitic_checkpoint_load(s, o->load) : NITIC_OK;
}

static int open_split(const nitic_session *s, const nitic_options *o, nitic_dataset *data) {
  int status = nitic_data_open(data, s->program, o->data, o->split);
  if (status == NITIC_OK && data->count == 0)
    status = nitic_fail(NITIC_MISMATCH, "%s: no samples to %s: the data set has no such split", o->data,
                        o->split == NITIC_TEST_SPLIT ? "test on" : "train on");
  return status;
}

int nitic_evaluate(nitic_session *s, const nitic_options *o) {
  nitic_dataset data = {0};
  nitic_metrics sum = {0};
  int64_t start = nitic_now();
  int status = load(s, o);
  if (status == NITIC_OK)
    status = open_split(s, o, &data);
  if (status == NITIC_OK)
    status = nitic_prepare_input(s, &data);
  if (status == NITIC_OK)
    status = nitic_evaluate_data(s, &data, &sum);
  nitic_data_close(&data);
  if (status != NITIC_OK)
    return status;
  char loss[NITIC_NUMBER_LENGTH], accuracy[NITIC_NUMBER_LENGTH], seconds[NITIC_NUMBER_LENGTH];
  fprintf(stderr, "evaluated in %s s\n", nitic_fixed(seconds, nitic_now() - start, 3));
  printf("samples %lld loss %s accuracy %s %%\n", (long long)sum.count,
         nitic_fixed(loss, nitic_loss_e4(s->program, &sum), 4), nitic_fixed(accuracy, nitic_accuracy_e4(&sum), 2));
  return NITIC_OK;
}

/* The class of each row: the first of its largest logits. */
static void classify(const int8_t *logits, int64_t count, int32_t classes, int32_t *output) {
  for (int64_t row = 0; row < count; row++, logits += classes) {
    output[row] = 0;
    for (int32_t c = 1; c < classes; c++)
      if (logits[c] > logits[output[row]])
        output[row] = c;
  }
}

static int predict_data(nitic_session *s, const nitic_dataset *data, int8_t *logits, int32_t *exponent) {
  int status = nitic_prepare_tops(s, data);
  for (int64_t first = 0; first < data->count && status == NITIC_OK; first += s->program->batch) {
    if (nitic_interrupted())
      return nitic_fail(NITIC_INTERRUPTED, "interrupted");
    int32_t count = batch_at(s, data, first);
    status = nitic_batch_fill(s, data, first, count);
    if (status == NITIC_OK)
      status = nitic_predict(s, NULL, count, logits + first * s->program->classes, exponent);
  }
  return status;
}

/* An array of rows x columns, or of one dimension where columns is 0. */
typedef struct {
  const void *values;
  const char *dtype;
  int64_t rows, columns;
  size_t bytes;
} npy_array;

static bool write_array(FILE *file, const npy_array *a) {
  char dict[128], shape[64];
  snprintf(shape, sizeof shape, a->columns ? "(%lld, %lld)" : "(%lld,)", (long long)a->rows, (long long)a->columns);
  int length = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", a->dtype, shape);
  bool good = fprintf(file, "\x93NUMPY\x01%c%c%c%-*s\n", 0, 118, 0, 117, dict) == 128 && length < 118;
  return good && fwrite(a->values, 1, a->bytes, file) == a->bytes;
}

/* Pipes and devices are written to, so that they stay what they are. */
static bool is_special(const char *path) {
  nitic_found found = nitic_look(path, NULL);
  return found == NITIC_FOLDER || found == NITIC_SPECIAL;
}

/* Writes an array to an open file. Returns 0 or an errno, -1 where nobody said more. */
static int write_to(FILE *file, const npy_array *array) {
  errno = 0;
  return write_array(file, array) && fflush(file) == 0 ? 0 : errno ? errno : -1;
}

static int write_special(const char *path, const npy_array *array) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return errno;
  int reason = write_to(file, array);
  return fclose(file) != 0 && reason == 0 ? errno : reason;
}

/* A file is replaced in one go. */
static int replace(const char *path, const npy_array *array) {
  nitic_replacement *replacement;
  FILE *file;
  int reason = nitic_replace_begin(path, &replacement, &file);
  return reason ? reason : nitic_replace_end(replacement, write_to(file, array));
}

static int write_npy(const char *path, const npy_array *array) {
  int reason = is_special(path) ? write_special(path, array) : replace(path, array);
  return reason ? nitic_fail(NITIC_RUNTIME, "%s: cannot write: %s", path, strerror(reason)) : NITIC_OK;
}

static int write_predictions(const nitic_session *s, const nitic_options *o, const int8_t *logits, int32_t *classes,
                             int64_t count) {
  int64_t columns = s->program->classes;
  const npy_array logit_array = {logits, "|i1", count, columns, (size_t)(count * columns)};
  const npy_array class_array = {classes, "<i4", count, 0, (size_t)count * sizeof *classes};
  int status = NITIC_OK;
  if (o->logits)
    status = write_npy(o->logits, &logit_array);
  if (o->output && status == NITIC_OK) {
    nitic_turn(classes, count, sizeof *classes);
    status = write_npy(o->output, &class_array);
  }
  for (int64_t i = 0; !o->output && !o->logits && i < count; i++)
    printf("%d\n", classes[i]);
  return status;
}

static int predict_all(nitic_session *s, const nitic_options *o, const nitic_dataset *data) {
  int64_t count = data->count;
  int8_t *logits = malloc((size_t)(count * s->program->classes) + 1);
  int32_t *classes = malloc((size_t)(count + 1) * sizeof *classes), exponent = 0;
  int status = logits && classes ? predict_data(s, data, logits, &exponent) : NITIC_RUNTIME;
  if (!logits || !classes)
    nitic_fail(NITIC_RUNTIME, "no memory for the predictions of %lld samples", (long long)count);
  if (status == NITIC_OK) {
    classify(logits, count, s->program->classes, classes);
    status = write_predictions(s, o, logits, classes, count);
  }
  if (status == NITIC_OK && o->logits)
    printf("exponent %d\n", exponent);
  free(logits);
  free(classes);
  return status;
}

static bool is_file(const char *path) {
  FILE *file = fopen(path, "rb");
  bool readable = file && fgetc(file) != EOF; /* a folder opens but does not read */
  if (file)
    fclose(file);
  return readable;
}

int nitic_classify(nitic_session *s, const nitic_options *o) {
  nitic_dataset data = {0};
  int status = load(s, o);
  if (status == NITIC_OK)
    status = is_file(o->data) ? nitic_data_open_samples(&data, s->program, o->data) : open_split(s, o, &data);
  if (status == NITIC_OK && data.count == 0)
    status = nitic_fail(NITIC_MISMATCH, "%s: there are no samples in it", o->data);
  if (status == NITIC_OK)
    status = nitic_prepare_input(s, &data);
  if (status == NITIC_OK)
    status = predict_all(s, o, &data);
  nitic_data_close(&data);
  return status;
}
