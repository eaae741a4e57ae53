/* data.c: finds a data set in a folder, checks it and hands out samples. */
#include "data.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files */

static void join(char *path, size_t size, const char *folder, const char *name) {
  size_t length = strlen(folder);
  const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
  snprintf(path, size, "%s%s%s", folder, slash, name);
}

bool nitic_file_exists(const char *folder, const char *name) {
  char path[4096];
  join(path, sizeof path, folder, name);
  return access(path, F_OK) == 0;
}

static int map_file(nitic_file *file, int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))
    return nitic_fail(NITIC_RUNTIME, "%s: not a regular file", file->path);
  if (info.st_size == 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: the file is empty", file->path);
  void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (bytes == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot map: %s", file->path, strerror(errno));
  file->bytes = bytes;
  file->size = (size_t)info.st_size;
  return NITIC_OK;
}

int nitic_file_open(nitic_file *file, const char *folder, const char *name) {
  join(file->path, sizeof file->path, folder, name);
  int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", file->path, strerror(errno));
  int status = map_file(file, descriptor);
  close(descriptor);
  return status;
}

/* The product is compared by division, so it cannot overflow. */
int nitic_file_check_size(const nitic_file *file, size_t data, int32_t element_bytes, const int64_t *shape,
                          int32_t rank) {
  size_t left = file->size - data, expected = (size_t)element_bytes;
  bool fits = true;
  for (int32_t i = 0; i < rank && fits; i++) {
    size_t length = (size_t)shape[i];
    fits = length == 0 || expected <= left / length;
    expected = fits ? expected * length : expected;
  }
  if (fits && expected == left)
    return NITIC_OK;
  if (fits)
    return nitic_fail(NITIC_MISMATCH, "%s: offset %zu: the file goes on for %zu bytes, expected its end", file->path,
                      data + expected, left - expected);
  return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: expected more data, the header promises %lld entries",
                    file->path, file->size, (long long)shape[0]);
}

static void close_file(nitic_file *file) {
  if (file->bytes)
    munmap((void *)(uintptr_t)file->bytes, file->size);
}

/* ---- parts and shapes */

nitic_part *nitic_data_add_part(nitic_dataset *data) {
  int32_t count = data->part_count;
  bool full = (count & (count - 1)) == 0; /* the room is a power of two */
  size_t room = count ? 2 * (size_t)count : 1;
  nitic_part *parts = data->parts;
  if (full && count < NITIC_MAX_PARTS)
    parts = realloc(data->parts, room * sizeof *parts);
  if (!parts || count == NITIC_MAX_PARTS) {
    nitic_fail(NITIC_RUNTIME, "no room for more than %d data files", count);
    return NULL;
  }
  data->parts = parts;
  memset(&parts[count], 0, sizeof *parts);
  data->part_count++;
  return &parts[count];
}

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

/* The input's sample is HxWxC. ONNX order (CxHxW) wins where both fit. With one channel, or one vector, order is no
 * question, so a flat sample fits as well, and any shape fits a vector of as many elements. A sequence, LxC or CxL, is
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

static const nitic_tensor *input_of(const nitic_program *program) {
  const nitic_tensor *tensor = program->tensors;
  while (tensor->role != NITIC_INPUT)
    tensor++;
  return tensor;
}

static void describe_input(nitic_dataset *data, const nitic_program *program) {
  const nitic_tensor *input = input_of(program);
  data->sample_bytes = (size_t)(nitic_elements(input) / program->batch);
  data->classes = program->classes;
  data->is_image = input->rank == 4;
  if (!data->is_image)
    return;
  data->stored = data->input = (nitic_size){(int32_t)input->shape[1], (int32_t)input->shape[2]};
  data->channels = (int32_t)input->shape[3];
}

int nitic_data_fit(nitic_dataset *data, const nitic_program *program, const char *path, const int64_t *shape,
                   int32_t rank) {
  const nitic_tensor *input = input_of(program);
  const int64_t *want = input->shape + 1;
  int32_t want_rank = (int32_t)input->rank - 1;
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

/* ---- labels */

static int64_t read_label(const nitic_labels *labels, int64_t index) {
  const uint8_t *at = labels->at + (size_t)index * labels->stride;
  uint64_t value = 0;
  for (int32_t i = 0; i < labels->bytes; i++)
    value = value << 8 | at[labels->big_endian ? i : labels->bytes - 1 - i];
  int unused = 64 - 8 * labels->bytes;
  if (labels->is_signed)
    return (int64_t)(value << unused) >> unused;
  return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int32_t label_in(const nitic_part *part, int64_t index) {
  return part->labels.at ? (int32_t)read_label(&part->labels, index) : -1;
}

static int check_labels(const nitic_dataset *data, const nitic_part *part) {
  const nitic_file *file = part->labels_file.bytes ? &part->labels_file : &part->samples_file;
  for (int64_t i = 0; part->labels.at && i < part->count; i++) {
    int64_t label = read_label(&part->labels, i);
    if (label < 0 || label >= data->classes)
      return nitic_fail(NITIC_MISMATCH, "%s: offset %lld: label %lld of sample %lld, expected 0 to %d", file->path,
                        (long long)(part->labels.at - file->bytes) + i * (long long)part->labels.stride,
                        (long long)label, (long long)i, data->classes - 1);
  }
  return NITIC_OK;
}

static int check_parts(nitic_dataset *data) {
  for (int32_t i = 0; i < data->part_count; i++) {
    int status = check_labels(data, &data->parts[i]);
    if (status != NITIC_OK)
      return status;
    data->count += data->parts[i].count;
  }
  return NITIC_OK;
}

/* ---- samples */

static void copy_sample(const nitic_dataset *data, const uint8_t *from, uint8_t *to) {
  if (!data->from_chw) {
    memcpy(to, from, data->sample_bytes);
  } else {
    int64_t pixels = (int64_t)data->input.height * data->input.width;
    for (int64_t c = 0; c < data->channels; c++)
      for (int64_t p = 0; p < pixels; p++)
        to[p * data->channels + c] = *from++;
  }
  for (size_t i = 0; data->flip && i < data->sample_bytes; i++)
    to[i] ^= data->flip;
}

/* The part that holds a sample; *index becomes that in the part. */
static const nitic_part *part_of(const nitic_dataset *data, int64_t *index) {
  const nitic_part *part = data->parts;
  while (*index >= part->count)
    *index -= part++->count;
  return part;
}

static nitic_image image_at(const nitic_dataset *data, const uint8_t *at) {
  nitic_size size = data->stored;
  ptrdiff_t width = size.width, channels = data->channels;
  if (data->from_chw)
    return (nitic_image){at, width, 1, width * size.height, size, data->channels, data->flip};
  return (nitic_image){at, width * channels, channels, 1, size, data->channels, data->flip};
}

/* Whether a sample is simply what is stored. */
static bool is_whole(const nitic_dataset *data, const nitic_box *box) {
  return !data->is_image || (box->y == 0 && box->x == 0 && !box->mirrored && nitic_same_size(box->size, data->stored) &&
                             nitic_same_size(box->size, data->input));
}

static void get_box(const nitic_dataset *data, nitic_box box, const uint8_t *pad, int64_t index, uint8_t *sample,
                    int32_t *label) {
  const nitic_part *part = part_of(data, &index);
  const uint8_t *from = part->samples + (size_t)index * part->stride;
  nitic_image image = image_at(data, from);
  if (is_whole(data, &box))
    copy_sample(data, from, sample);
  else
    nitic_resample(&image, &box, pad, data->input, sample);
  if (label)
    *label = label_in(part, index);
}

int32_t nitic_data_label(const nitic_dataset *data, int64_t index) {
  const nitic_part *part = part_of(data, &index);
  return label_in(part, index);
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
  const nitic_part *part = part_of(data, &index);
  const uint8_t *file = part->samples_file.bytes;
  size_t begin = (size_t)(part->samples - file) + (size_t)index * part->stride;
  size_t before = begin % (size_t)sysconf(_SC_PAGESIZE);
  madvise((void *)(uintptr_t)(file + begin - before), before + part->stride, MADV_WILLNEED);
}

int nitic_data_check_augment(const nitic_dataset *data, const nitic_augment *augment) {
  if (!augment->crop && !augment->flip && !augment->resized_crop)
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

/* ---- folders */

static int check_folder(const char *folder) {
  struct stat info;
  if (stat(folder, &info) != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", folder, strerror(errno));
  if (!S_ISDIR(info.st_mode))
    return nitic_fail(NITIC_RUNTIME, "%s: not a folder", folder);
  return NITIC_OK;
}

static int nothing_found(const char *folder) {
  bool packed = nitic_file_exists(folder, "train-images-idx3-ubyte.gz");
  return nitic_fail(
      NITIC_MISMATCH,
      "%s: no data set here: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, data_batch_1.bin, "
      "x_train.npy and y_train.npy, or train-00000.images, which `nitic data pack` makes of a folder of images%s",
      folder, packed ? "; unpack with: gunzip *.gz" : "");
}

static int open_folder(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  static const char *const idx[][2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                       {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
  static const char *const npy[][2] = {{"x_train.npy", "y_train.npy"}, {"x_test.npy", "y_test.npy"}};
  static const char *const cifar[] = {"data_batch_1.bin", "test_batch.bin"};
  static const char *const images[] = {"train-00000.images", "test-00000.images"};
  if (nitic_file_exists(folder, idx[split][0]))
    return nitic_idx_open(data, program, folder, idx[split][0], idx[split][1]);
  if (nitic_file_exists(folder, cifar[split]))
    return nitic_cifar_open(data, program, folder, split);
  if (nitic_file_exists(folder, npy[split][0]))
    return nitic_npy_open(data, program, folder, npy[split][0], npy[split][1]);
  if (nitic_file_exists(folder, images[split]))
    return nitic_packed_open(data, program, folder, split);
  nitic_split other = split == NITIC_TRAIN_SPLIT ? NITIC_TEST_SPLIT : NITIC_TRAIN_SPLIT;
  bool any = nitic_file_exists(folder, idx[other][0]) || nitic_file_exists(folder, cifar[other]) ||
             nitic_file_exists(folder, npy[other][0]) || nitic_file_exists(folder, images[other]);
  return any ? NITIC_OK : nothing_found(folder);
}

int nitic_data_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  *data = (nitic_dataset){0};
  int status = check_folder(folder);
  if (status == NITIC_OK)
    status = open_folder(data, program, folder, split);
  return status == NITIC_OK ? check_parts(data) : status;
}

static bool ends_in(const char *path, const char *suffix) {
  size_t length = strlen(path), tail = strlen(suffix);
  return length > tail && strcmp(path + length - tail, suffix) == 0;
}

static int open_file(nitic_dataset *data, const nitic_program *program, const char *path) {
  if (ends_in(path, ".npy"))
    return nitic_npy_open(data, program, "", path, NULL);
  if (ends_in(path, ".images"))
    return nitic_packed_open_file(data, program, path);
  return nitic_idx_open(data, program, "", path, NULL);
}

int nitic_data_open_samples(nitic_dataset *data, const nitic_program *program, const char *path) {
  *data = (nitic_dataset){0};
  int status = open_file(data, program, path);
  return status == NITIC_OK ? check_parts(data) : status;
}

void nitic_data_close(nitic_dataset *data) {
  for (int32_t i = 0; i < data->part_count; i++) {
    close_file(&data->parts[i].samples_file);
    close_file(&data->parts[i].labels_file);
  }
  free(data->parts);
  *data = (nitic_dataset){0};
}
