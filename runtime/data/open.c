/* data/open.c: finds out which format a folder or a file has, and opens it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/formats.h"

static int nothing_found(const char *folder, const nitic_program *program) {
  if (program->input_count > 1)
    return nitic_fail(NITIC_MISMATCH,
                      "%s: no data set here: expected y_train.npy and a file for each of the program's %u inputs, the "
                      "first of them x_train.%s.npy",
                      folder, program->input_count, program->inputs->name);
  bool packed = nitic_file_exists(folder, "train-images-idx3-ubyte.gz");
  return nitic_fail(
      NITIC_MISMATCH,
      "%s: no data set here: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, data_batch_1.bin, "
      "x_train.npy and y_train.npy, or train-00000.images, which `nitic data pack` makes of a folder of images%s",
      folder, packed ? "; unpack with: gunzip *.gz" : "");
}

typedef enum { NONE, IDX, CIFAR, NPY, PACKED, INPUTS } format; /* the last: a .npy file for each of several inputs */

static const char *const idx[][2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                     {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
static const char *const npy[][2] = {{"x_train.npy", "y_train.npy"}, {"x_test.npy", "y_test.npy"}};

static bool has_one(const char *folder, const char *const names[2]) {
  return nitic_file_exists(folder, names[0]) || nitic_file_exists(folder, names[1]);
}

enum { NAME_SIZE = 256 }; /* of the longest name of a file, with its end */

/* x_train.NAME.npy, cut off where it does not fit, so that there is no such file. */
static const char *name_of(const nitic_input *input, nitic_split split, char *name, size_t size) {
  snprintf(name, size, "x_%s.%s.npy", split == NITIC_TRAIN_SPLIT ? "train" : "test", input->name);
  return name;
}

static bool has_any_input(const nitic_program *program, const char *folder, nitic_split split) {
  char name[NAME_SIZE];
  bool found = nitic_file_exists(folder, npy[split][1]);
  for (uint32_t i = 0; i < program->input_count; i++)
    found = found || nitic_file_exists(folder, name_of(&program->inputs[i], split, name, sizeof name));
  return found;
}

/* The format of a split: any file of it counts, so that a split that is not whole is no split that is not there. */
static format find_format(const nitic_program *program, const char *folder, nitic_split split) {
  if (program->input_count > 1)
    return has_any_input(program, folder, split) ? INPUTS : NONE;
  bool train = split == NITIC_TRAIN_SPLIT;
  if (has_one(folder, idx[split]))
    return IDX;
  if (train ? nitic_file_largest(folder, "data_batch_", 1, ".bin") > 0 : nitic_file_exists(folder, "test_batch.bin"))
    return CIFAR;
  if (has_one(folder, npy[split]))
    return NPY;
  return nitic_file_largest(folder, train ? "train-" : "test-", 5, ".images") >= 0 ? PACKED : NONE;
}

static int check_counts(nitic_dataset *data, const nitic_program *program, const char *folder) {
  data->count = data->inputs->count;
  data->classes = data->inputs->classes;
  for (int32_t i = 0; i < data->input_count; i++) {
    data->sample_bytes += data->inputs[i].sample_bytes;
    if (data->inputs[i].count != data->count)
      return nitic_fail(NITIC_MISMATCH, "%s: %lld samples of input %s, but %lld of %s", folder,
                        (long long)data->inputs[i].count, program->inputs[i].name, (long long)data->count,
                        program->inputs->name);
  }
  return NITIC_OK;
}

/* A file for each input, and one with the labels. */
static int open_inputs(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  data->inputs = calloc(program->input_count, sizeof *data->inputs);
  if (!data->inputs)
    return nitic_fail(NITIC_RUNTIME, "no memory for a data set of %u inputs", program->input_count);
  data->input_count = (int32_t)program->input_count;
  for (int32_t i = 0; i < data->input_count; i++) {
    nitic_dataset *input = &data->inputs[i];
    char name[NAME_SIZE];
    input->number = i;
    name_of(&program->inputs[i], split, name, sizeof name);
    int status = nitic_npy_open(input, program, folder, name, i ? NULL : npy[split][1]);
    if (status == NITIC_OK)
      status = nitic_parts_check(input);
    if (status != NITIC_OK)
      return status;
  }
  return check_counts(data, program, folder);
}

static int open_folder(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  switch (find_format(program, folder, split)) {
  case INPUTS:
    return open_inputs(data, program, folder, split);
  case IDX:
    return nitic_idx_open(data, program, folder, idx[split][0], idx[split][1]);
  case CIFAR:
    return nitic_cifar_open(data, program, folder, split);
  case NPY:
    return nitic_npy_open(data, program, folder, npy[split][0], npy[split][1]);
  case PACKED:
    return nitic_packed_open(data, program, folder, split);
  default:
    break;
  }
  nitic_split other = split == NITIC_TRAIN_SPLIT ? NITIC_TEST_SPLIT : NITIC_TRAIN_SPLIT;
  return find_format(program, folder, other) == NONE ? nothing_found(folder, program) : NITIC_OK;
}

int nitic_data_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  *data = (nitic_dataset){0};
  int status = nitic_check_folder(folder);
  if (status == NITIC_OK)
    status = open_folder(data, program, folder, split);
  return status == NITIC_OK ? nitic_parts_check(data) : status;
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
  if (program->input_count > 1)
    return nitic_fail(NITIC_USAGE, "%s: the program has %u inputs: give a folder with a file for each", path,
                      program->input_count);
  int status = open_file(data, program, path);
  return status == NITIC_OK ? nitic_parts_check(data) : status;
}

void nitic_data_close(nitic_dataset *data) {
  for (int32_t i = 0; i < data->input_count; i++)
    nitic_data_close(&data->inputs[i]);
  free(data->inputs);
  for (int32_t i = 0; i < data->part_count; i++) {
    nitic_file_close(&data->parts[i].samples_file);
    nitic_file_close(&data->parts[i].labels_file);
  }
  free(data->parts);
  *data = (nitic_dataset){0};
}
