/* data/input_shape.c: whether samples, as they are stored or augmented, can become the program's input. */
#include <stdio.h>
#include <string.h>

#include "data/formats.h"

/* Drops lengths of 1: a 1x28x28 image is a 28x28 image. */
static int32_t squeeze(const int64_t *shape, int32_t rank, int64_t *squeezed) {
  int32_t length = 0;
  for (int32_t i = 0; i < rank; i++)
    if (shape[i] != 1)
      squeezed[length++] = shape[i];
  return length;
}

static bool same_squeezed(const int64_t *a, int32_t a_rank, const int64_t *b, int32_t b_rank) {
  int64_t x[NITIC_MAX_RANK], y[NITIC_MAX_RANK];
  int32_t length = squeeze(a, a_rank, x);
  return length == squeeze(b, b_rank, y) && memcmp(x, y, (size_t)length * sizeof *x) == 0;
}

static void format_shape(const int64_t *shape, int32_t rank, char *text, size_t size) {
  size_t length = 0;
  snprintf(text, size, "one value");
  for (int32_t i = 0; i < rank && length < size; i++)
    length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? "x" : "", (long long)shape[i]);
}

/* The input's sample is HxWxC. ONNX order (CxHxW) wins where both fit. With one channel, or a vector, there is only one
 * order, so a flat sample fits as well, and any shape fits a vector of as many elements. A sequence, LxC or CxL, is
 * an image of one row. */
static bool fit_shape(nitic_dataset *data, const int64_t *want, int32_t want_rank, const int64_t *shape, int32_t rank) {
  int64_t elements = (int64_t)data->sample_bytes, given = 1;
  for (int32_t i = 0; i < rank; given *= shape[i++])
    if (shape[i] < 1 || given > elements / shape[i]) /* a product that may overflow is too large anyway */
      return false;
  if (given != elements)
    return false;
  if (want_rank != 3 || want[2] == 1)
    return want_rank == 1 || (rank == 1 && shape[0] == elements) || same_squeezed(shape, rank, want, want_rank);
  if (rank == 2 && want[0] == 1)
    return fit_shape(data, want, 3, (int64_t[]){shape[0], 1, shape[1]}, 3) ||
           fit_shape(data, want, 3, (int64_t[]){1, shape[0], shape[1]}, 3);
  if (rank == 3 && shape[0] == want[2] && shape[1] == want[0] && shape[2] == want[1]) {
    data->from_chw = want[0] * want[1] > 1;
    return true;
  }
  return rank == 3 && memcmp(shape, want, 3 * sizeof *want) == 0;
}

static void describe_input(nitic_dataset *data, const nitic_program *program) {
  const nitic_input *input = &program->inputs[data->number];
  data->sample_bytes = input->bytes;
  data->classes = nitic_label_count(program);
  data->is_image = input->rank == 3;
  if (!data->is_image)
    return;
  data->stored = data->input = (nitic_size){(int32_t)input->shape[0], (int32_t)input->shape[1]};
  data->channels = (int32_t)input->shape[2];
}

int nitic_data_fit(nitic_dataset *data, const nitic_program *program, const char *path, const int64_t *shape,
                   int32_t rank) {
  const int64_t *want = program->inputs[data->number].shape;
  int32_t want_rank = (int32_t)program->inputs[data->number].rank;
  describe_input(data, program);
  if (fit_shape(data, want, want_rank, shape, rank))
    return NITIC_OK;
  char given[128], wanted[128];
  format_shape(shape, rank, given, sizeof given);
  format_shape(want, want_rank, wanted, sizeof wanted);
  return nitic_fail(NITIC_MISMATCH, "%s: its samples are %s, the program expects %s%s", path, given, wanted,
                    want_rank == 3 ? " (height, width, channels) or channels first" : "");
}

static bool is_resizable(const nitic_dataset *data) {
  return data->is_image && data->input.height <= NITIC_MAX_SIDE && data->input.width <= NITIC_MAX_SIDE;
}

int nitic_data_fit_image(nitic_dataset *data, const nitic_program *program, const char *path, nitic_size size,
                         int32_t channels) {
  describe_input(data, program);
  const int64_t shape[] = {size.height, size.width, channels};
  if (!is_resizable(data) || channels != data->channels)
    return nitic_data_fit(data, program, path, shape, 3);
  data->stored = size;
  return NITIC_OK;
}

int nitic_data_check_augment(const nitic_dataset *data, const nitic_augment *augment) {
  if (!nitic_augments(augment))
    return NITIC_OK;
  if (!is_resizable(data))
    return nitic_fail(NITIC_USAGE,
                      "--augment needs a program whose input is an image, with height, width (both at most %d) and "
                      "channels",
                      NITIC_MAX_SIDE);
  if (augment->crop && !nitic_same_size(data->stored, data->input))
    return nitic_fail(NITIC_USAGE,
                      "--augment crop shifts images of the input's size, but these are %dx%d and the input is %dx%d: "
                      "take resized-crop",
                      data->stored.height, data->stored.width, data->input.height, data->input.width);
  return NITIC_OK;
}
