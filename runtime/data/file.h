/* data/file.h: a file of a data set, mapped into memory. */
#ifndef NITIC_DATA_FILE_H
#define NITIC_DATA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char path[4096];      /* for messages */
  const uint8_t *bytes; /* NULL: it is not open */
  size_t size;
} nitic_file;

/* In the first and the third, `folder` may be "": then `name` is the path. */
bool nitic_file_exists(const char *folder, const char *name);
/* The largest number of the files in `folder` that are called `prefix`, a number of at least `digits` digits, and
 * `suffix`; -1: there are none. */
int nitic_file_largest(const char *folder, const char *prefix, int digits, const char *suffix);
int nitic_file_open(nitic_file *file, const char *folder, const char *name);
void nitic_file_close(nitic_file *file);
/* NITIC_RUNTIME and a sentence where nitic_file_lost names a file. To ask after data was read and before it is used. */
int nitic_file_check_lost(void);
/* Whether the file from offset `data` on is exactly an array of this shape. */
int nitic_file_check_size(const nitic_file *file, size_t data, int32_t element_bytes, const int64_t *shape,
                          int32_t rank);

#endif
