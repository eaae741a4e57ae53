/* data/cifar.c: the binary version of CIFAR-10: records of one label byte and 3072 bytes of a 3x32x32 image. */
#include <stdio.h>

#include "data/formats.h"

enum { IMAGE = 3 * 32 * 32, RECORD = 1 + IMAGE };

static int open_batch(nitic_dataset *data, const nitic_program *program, const char *folder, const char *name) {
  static const int64_t shape[] = {3, 32, 32};
  nitic_part *part = nitic_parts_add(data);
  int status = part ? nitic_file_open(&part->samples_file, folder, name) : NITIC_RUNTIME;
  if (status != NITIC_OK)
    return status;
  const nitic_file *file = &part->samples_file;
  if (file->size % RECORD != 0)
    return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: expected records of %d bytes, the last one has %zu",
                      file->path, file->size, RECORD, file->size % RECORD);
  part->count = (int64_t)(file->size / RECORD);
  part->samples = file->bytes + 1;
  part->stride = RECORD;
  part->labels = (nitic_labels){.at = file->bytes, .stride = RECORD, .bytes = 1};
  return nitic_data_fit(data, program, file->path, shape, 3);
}

/* test_batch.bin; or data_batch_1.bin, data_batch_2.bin, ..., with no gap. */
int nitic_cifar_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  if (split == NITIC_TEST_SPLIT)
    return open_batch(data, program, folder, "test_batch.bin");
  int status = NITIC_OK, last = nitic_file_largest(folder, "data_batch_", 1, ".bin");
  for (int i = 1; status == NITIC_OK && i <= last; i++) {
    char name[32];
    snprintf(name, sizeof name, "data_batch_%d.bin", i);
    if (!nitic_file_exists(folder, name))
      return nitic_fail(NITIC_MISMATCH,
                        "%s: %s is missing, while data_batch_%d.bin is there: the data set is not whole", folder, name,
                        last);
    status = open_batch(data, program, folder, name);
  }
  return status;
}
