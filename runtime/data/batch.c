/* data/batch.c: see batch.h. */
#include "data/batch.h"

static void read_sample(const void *data, int64_t index, uint8_t *sample) { nitic_data_get(data, index, sample, NULL); }

int nitic_batch_keep(const nitic_session *s, nitic_dataset *data, const uint8_t *pad) {
  const nitic_samples samples = {data, read_sample, data->count, pad};
  int status = data->packed || data->count == 0 ? NITIC_OK : nitic_device_keep(s->device, &samples, &data->kept);
  return status == NITIC_OK ? nitic_file_check_lost() : status;
}

/* Rows from `count` on repeat the first ones. */
static void pick(const nitic_session *s, const nitic_dataset *data, int64_t first, int32_t count) {
  nitic_pick *picks = nitic_device_pick(s->device, data->kept);
  for (int32_t row = 0; row < s->program->batch; row++) {
    picks[row] = (nitic_pick){.sample = (int32_t)(first + row % count)};
    s->label[row] = nitic_data_label(data, first + row % count);
  }
}

int nitic_batch_fill(const nitic_session *s, const nitic_dataset *data, int64_t first, int32_t count) {
  if (data->kept) {
    pick(s, data, first, count);
    return NITIC_OK;
  }
  for (int32_t row = 0; row < count; row++)
    nitic_data_get(data, first + row, s->input + (size_t)row * s->sample_bytes, &s->label[row]);
  return nitic_file_check_lost();
}

void nitic_batch_draw(const nitic_session *s, const nitic_dataset *data, const nitic_draw *draw, const int64_t *order) {
  nitic_pick *picks = nitic_device_pick(s->device, data->kept);
  for (int32_t row = 0; row < s->program->batch; row++) {
    nitic_box box = nitic_box_draw(draw, data->stored, data->input, order[row]);
    picks[row] = (nitic_pick){(int32_t)order[row], box.y, box.x, box.mirrored};
    s->label[row] = nitic_data_label(data, order[row]);
  }
}
