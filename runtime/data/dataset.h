/* data/dataset.h: data sets on disk, and their samples as the program's input wants them: uint8, NHWC. */
#ifndef NITIC_DATA_DATASET_H
#define NITIC_DATA_DATASET_H

#include "core/internal.h"
#include "data/box.h"
#include "data/file.h"

enum { NITIC_MAX_PARTS = 65536 };

typedef struct {
  const uint8_t *at; /* NULL: there are none */
  size_t stride;
  int32_t bytes; /* 1, 2, 4 or 8 */
  bool is_signed, big_endian;
} nitic_labels;

/* Samples that lie in one file. Their labels may lie in it too, or in a second one. */
typedef struct {
  nitic_file samples_file, labels_file; /* the second is not open where the first has the labels, or where none are */
  const uint8_t *samples;
  size_t stride;
  nitic_labels labels;
  int64_t count;
} nitic_part;

typedef struct nitic_dataset nitic_dataset;

/* One input's samples; or of several inputs a data set each, and no parts of its own. The first has the labels. */
struct nitic_dataset {
  nitic_dataset *inputs;
  int32_t input_count;
  int32_t number; /* of the input, where there are several */
  nitic_part *parts;
  int32_t part_count;
  int64_t count;
  size_t sample_bytes;
  bool is_image;            /* whether samples have height, width and channels */
  nitic_size stored, input; /* of an image, in the files and as the program takes it */
  int32_t channels;
  bool packed;      /* by `nitic data pack`: images of any size become the input's */
  bool from_chw;    /* samples are stored channels first */
  uint8_t sign_bit; /* 0x80 for int8 samples: x ^ 0x80 is x + 128 */
  int32_t classes;  /* of the program: labels go from 0 to one less */
  int32_t kept;     /* the number of the device's copy, 0: it has none */
};

typedef enum { NITIC_TRAIN_SPLIT, NITIC_TEST_SPLIT } nitic_split;

/* A split of the data set in a folder. Where the folder holds a data set without this split, count is 0. */
int nitic_data_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
/* The samples of one .npy, IDX or .images file; only the last has labels. */
int nitic_data_open_samples(nitic_dataset *data, const nitic_program *program, const char *path);
void nitic_data_close(nitic_dataset *data);

/* A sample as evaluation sees it. label may be NULL; it becomes -1 where the data has none. */
void nitic_data_get(const nitic_dataset *data, int64_t index, uint8_t *sample, int32_t *label);
/* A sample as training sees it. */
void nitic_data_draw(const nitic_dataset *data, const nitic_draw *draw, int64_t index, uint8_t *sample, int32_t *label);
int32_t nitic_data_label(const nitic_dataset *data, int64_t index);
/* Lets the operating system begin to read a sample. */
void nitic_data_will_need(const nitic_dataset *data, int64_t index);
/* Whether samples of this data set can be augmented so. */
int nitic_data_check_augment(const nitic_dataset *data, const nitic_augment *augment);

#endif
