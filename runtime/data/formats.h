/* data/formats.h: the formats of data sets. Each adds its files to the table of parts, and says by nitic_data_fit what
 * shape their samples have. */
#ifndef NITIC_DATA_FORMATS_H
#define NITIC_DATA_FORMATS_H

#include "data/parts.h"

/* The samples' file, and that of their labels: NULL where none are wanted. */
int nitic_idx_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *images,
                   const char *labels);
int nitic_npy_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *samples,
                   const char *labels);
int nitic_cifar_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
int nitic_packed_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split);
/* One shard alone. */
int nitic_packed_open_file(nitic_dataset *data, const nitic_program *program, const char *path);

/* Whether samples of this shape fit the program's input; sets what the data set says of a sample. */
int nitic_data_fit(nitic_dataset *data, const nitic_program *program, const char *path, const int64_t *shape,
                   int32_t rank);
/* Whether images HxWxC can become the program's input: of any size, if that is an image of as many channels. */
int nitic_data_fit_image(nitic_dataset *data, const nitic_program *program, const char *path, nitic_size size,
                         int32_t channels);

#endif
