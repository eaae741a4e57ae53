/* data.h: data sets on disk, memory-mapped, and their samples as the program's input wants them: uint8, NHWC. */
#ifndef NITIC_DATA_H
#define NITIC_DATA_H

#include "augment.h"
#include "internal.h"

enum { NITIC_MAX_PARTS = 65536 };

typedef struct {
  char path[4096]; /* for messages */
  const uint8_t *bytes;
  size_t size;
} nitic_file;

typedef struct {
  const uint8_t *at;
  size_t stride;
  int32_t bytes; /* 1, 2, 4 or 8 */
  bool is_signed, big_endian;
} nitic_labels;

/* Samples that lie in one file (and perhaps their labels in another). */
typedef struct {
  nitic_file samples_file,
      labels_file; /* labels_file.bytes is NULL where the labels are with the samples, or nowhere */
  const uint8_t *samples;
  size_t stride;
  nitic_labels labels; /* labels.at is NULL when there are none */
  int64_t count;
} nitic_part;

typedef struct {
  nitic_part *parts;
  int32_t part_count;
  int64_t count;
  size_t sample_bytes;
  bool is_image;            /* whether samples have height, width and channels */
  nitic_size stored, input; /* of an image, here and as the program takes it */
  int32_t channels;
  bool packed; /* by `nitic data pack`: any size becomes the input's */
  bool from_chw;
  uint8_t flip;    /* 0x80 for int8 samples: x ^ 0x80 is x + 128 */
  int32_t classes; /* of the program */
  int32_t kept;    /* the name of the device's copy, 0: it has none */
} nitic_dataset;

typedef enum { NITIC_TRAIN_SPLIT, NITIC_TEST_SPLIT } nitic_split;

/* A split of the data set in a folder. Where the folder holds a data set without this split, count is 0. */
int nitic_data_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
/* The samples of one .npy, IDX or .images file; only the last has labels. */
int nitic_data_open_samples(nitic_dataset *data, const nitic_program *program, const char *path);
void nitic_data_close(nitic_dataset *data);
/* label may be NULL; it becomes -1 where the data has none. */
void nitic_data_get(const nitic_dataset *data, int64_t index, uint8_t *sample, int32_t *label);
int32_t nitic_data_label(const nitic_dataset *data, int64_t index);
/* The same as training sees it. */
void nitic_data_draw(const nitic_dataset *data, const nitic_draw *draw, int64_t index, uint8_t *sample, int32_t *label);
/* Lets the operating system begin to read a sample. */
void nitic_data_will_need(const nitic_dataset *data, int64_t index);
/* Whether samples of this data set can be augmented so. */
int nitic_data_check_augment(const nitic_dataset *data, const nitic_augment *augment);

/* ---- for idx.c, cifar.c, npy.c and packed.c */

bool nitic_file_exists(const char *folder, const char *name);
int nitic_file_open(nitic_file *file, const char *folder, const char *name);
/* Whether the file from offset `data` on is exactly an array of this shape. */
int nitic_file_check_size(const nitic_file *file, size_t data, int32_t element_bytes, const int64_t *shape,
                          int32_t rank);
/* A zeroed part at the end of data->parts, NULL (and an error) when there is no room. */
nitic_part *nitic_data_add_part(nitic_dataset *data);
/* Whether samples of this shape fit the program's input; sets what the data set says of a sample. */
int nitic_data_fit(nitic_dataset *data, const nitic_program *program, const char *path, const int64_t *shape,
                   int32_t rank);

/* Whether images HxWxC can become the program's input: of any size, if that is an image of as many channels. */
int nitic_data_fit_image(nitic_dataset *data, const nitic_program *program, const char *path, nitic_size size,
                         int32_t channels);

int nitic_idx_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *images,
                   const char *labels);
int nitic_cifar_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
int nitic_npy_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *samples,
                   const char *labels);
int nitic_packed_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
/* One shard alone. */
int nitic_packed_open_file(nitic_dataset *data, const nitic_program *program, const char *path);

#endif
