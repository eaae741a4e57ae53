/* data/samples.c: hands out samples: copied as they are stored, or a part of them at another size. */
#include <string.h>

#include "data/parts.h"
#include "data/resample.h"

static void copy_sample(const nitic_dataset *data, const uint8_t *from, uint8_t *to) {
  if (!data->from_chw) {
    memcpy(to, from, data->sample_bytes);
  } else {
    int64_t pixels = (int64_t)data->input.height * data->input.width;
    for (int64_t c = 0; c < data->channels; c++)
      for (int64_t p = 0; p < pixels; p++)
        to[p * data->channels + c] = *from++;
  }
  for (size_t i = 0; data->sign_bit && i < data->sample_bytes; i++)
    to[i] ^= data->sign_bit;
}

static nitic_image image_at(const nitic_dataset *data, const uint8_t *at) {
  nitic_size size = data->stored;
  ptrdiff_t width = size.width, channels = data->channels;
  if (data->from_chw)
    return (nitic_image){at, width, 1, width * size.height, size, data->channels, data->sign_bit};
  return (nitic_image){at, width * channels, channels, 1, size, data->channels, data->sign_bit};
}

/* Whether a sample is simply what is stored. */
static bool is_whole(const nitic_dataset *data, const nitic_box *box) {
  return !data->is_image || (box->y == 0 && box->x == 0 && !box->mirrored && nitic_same_size(box->size, data->stored) &&
                             nitic_same_size(box->size, data->input));
}

/* Of several inputs, the parts of a sample one behind the other. */
static void get_parts(const nitic_dataset *data, int64_t index, uint8_t *sample, int32_t *label) {
  for (const nitic_dataset *input = data->inputs; input < data->inputs + data->input_count; input++) {
    nitic_data_get(input, index, sample, input == data->inputs ? label : NULL);
    sample += input->sample_bytes;
  }
}

static void get_box(const nitic_dataset *data, nitic_box box, const uint8_t *pad, int64_t index, uint8_t *sample,
                    int32_t *label) {
  if (data->inputs) {
    get_parts(data, index, sample, label);
    return;
  }
  const nitic_part *part = nitic_parts_find(data, &index);
  const uint8_t *from = part->samples + (size_t)index * part->stride;
  nitic_image image = image_at(data, from);
  if (is_whole(data, &box))
    copy_sample(data, from, sample);
  else
    nitic_resample(&image, &box, pad, data->input, sample);
  if (label)
    *label = nitic_part_label(part, index);
}

void nitic_data_get(const nitic_dataset *data, int64_t index, uint8_t *sample, int32_t *label) {
  get_box(data, nitic_box_centre(data->stored, data->input), NULL, index, sample, label);
}

void nitic_data_draw(const nitic_dataset *data, const nitic_draw *draw, int64_t index, uint8_t *sample,
                     int32_t *label) {
  get_box(data, nitic_box_draw(draw, data->stored, data->input, index), draw->pad, index, sample, label);
}

void nitic_data_will_need(const nitic_dataset *data, int64_t index) {
  if (!data->packed)
    return;
  const nitic_part *part = nitic_parts_find(data, &index);
  nitic_will_need(part->samples + (size_t)index * part->stride, part->stride);
}
