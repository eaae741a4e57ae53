/* data/loader.c: see loader.h. */
#include "data/loader.h"

#include <stdlib.h>
#include <string.h>

#include "data/batch.h"

struct nitic_loader {
  const nitic_session *session;
  const nitic_dataset *data;
  nitic_draw draw;
  const int64_t *order;
  int64_t next, end;    /* the batch to make next, and where the epoch ends */
  nitic_helper *helper; /* makes the next batch, while the caller goes on; NULL: the caller makes it */
  uint8_t *pad, *samples;
  int32_t *labels;
};

static void make_batch(const nitic_loader *l, uint8_t *samples, int32_t *labels) {
  int32_t batch = l->session->program->batch;
  const int64_t *order = l->order + l->next * batch;
  for (int32_t row = 0; row < batch; row++)
    nitic_data_will_need(l->data, order[row]);
  for (int32_t row = 0; row < batch; row++)
    nitic_data_draw(l->data, &l->draw, order[row], samples + (size_t)row * l->session->sample_bytes, &labels[row]);
}

static void make_next(void *argument) {
  nitic_loader *l = argument;
  make_batch(l, l->samples, l->labels);
}

/* The pixel value that the input map takes nearest to zero, channel by channel. */
static void find_pad(const nitic_session *s, uint8_t *pad) {
  for (int32_t c = 0; c < s->channels && s->input_multiplier && s->input_offset; c++) {
    int64_t multiplier = s->input_multiplier[c] > 0 ? s->input_multiplier[c] : 1, offset = -(int64_t)s->input_offset[c];
    int64_t value = offset > 0 ? (2 * offset + multiplier) / (2 * multiplier) : 0;
    pad[c] = (uint8_t)(value > 255 ? 255 : value);
  }
}

static int set_up(nitic_loader *l) {
  const nitic_session *s = l->session;
  size_t batch = (size_t)s->program->batch;
  l->pad = calloc((size_t)s->channels, 1);
  l->samples = malloc(batch * s->sample_bytes);
  l->labels = calloc(batch, sizeof *l->labels);
  if (!l->pad || !l->samples || !l->labels)
    return nitic_fail(NITIC_RUNTIME, "no memory for a batch of %zu samples", batch);
  find_pad(s, l->pad);
  l->draw = (nitic_draw){.augment = s->hyper.augment, .seed = (uint64_t)s->progress.seed, .pad = l->pad};
  return NITIC_OK;
}

/* A device can only pick boxes of the input's size: with resized-crop, batches are made here. */
static int choose(nitic_loader *l, nitic_dataset *data) {
  const nitic_augment *a = &l->draw.augment;
  int status = a->resized_crop ? NITIC_OK : nitic_batch_keep(l->session, data, l->pad);
  bool threaded = !data->kept && (data->packed || nitic_augments(a));
  return status == NITIC_OK && threaded ? nitic_helper_create(make_next, l, &l->helper) : status;
}

int nitic_loader_create(const nitic_session *session, nitic_dataset *data, nitic_loader **loader) {
  nitic_loader *l = calloc(1, sizeof *l);
  if (!l)
    return nitic_fail(NITIC_RUNTIME, "no memory for the data loader");
  l->session = session;
  l->data = data;
  int status = set_up(l);
  if (status == NITIC_OK)
    status = choose(l, data);
  if (status != NITIC_OK)
    nitic_loader_destroy(l);
  else
    *loader = l;
  return status;
}

void nitic_loader_destroy(nitic_loader *l) {
  if (!l)
    return;
  if (l->helper)
    nitic_helper_destroy(l->helper);
  free(l->pad);
  free(l->samples);
  free(l->labels);
  free(l);
}

static void start_next(const nitic_loader *l) {
  if (l->helper && l->next < l->end)
    nitic_helper_start(l->helper);
}

void nitic_loader_begin(nitic_loader *l, const int64_t *order, int64_t first, int64_t end) {
  if (l->helper)
    nitic_helper_wait(l->helper);
  l->order = order;
  l->next = first;
  l->end = end;
  l->draw.epoch = l->session->progress.epoch;
  start_next(l);
}

int nitic_loader_next(nitic_loader *l) {
  const nitic_session *s = l->session;
  size_t batch = (size_t)s->program->batch;
  if (!l->helper) {
    if (l->data->kept)
      nitic_batch_draw(s, l->data, &l->draw, l->order + l->next * s->program->batch);
    else
      make_batch(l, s->input, s->label);
    l->next++;
    return nitic_file_check_lost();
  }
  nitic_helper_wait(l->helper);
  memcpy(s->input, l->samples, batch * s->sample_bytes);
  memcpy(s->label, l->labels, batch * sizeof *l->labels);
  l->next++;
  start_next(l);
  return nitic_file_check_lost();
}
