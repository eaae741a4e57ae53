/* data/idx.c: the IDX format of MNIST: two zero bytes, element type, rank, then each dimension as a big-endian uint32,
 * then the data. */
#include "data/formats.h"

enum { IDX_U8 = 0x08, IDX_I8 = 0x09, IDX_I16 = 0x0B, IDX_I32 = 0x0C, IDX_F32 = 0x0D, IDX_F64 = 0x0E };

typedef struct {
  int type;
  int32_t rank, element_bytes;
  int64_t shape[NITIC_MAX_RANK];
  size_t data; /* offset */
} idx_header;

static uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int32_t type_bytes(int type) {
  return type == IDX_U8 || type == IDX_I8 ? 1 : type == IDX_I16 ? 2 : type == IDX_I32 ? 4 : 0;
}

static int check_magic(const nitic_file *file, idx_header *header, const char *expected) {
  if (file->size < 4 || file->bytes[0] != 0 || file->bytes[1] != 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: no IDX file, expected %s", file->path, expected);
  header->type = file->bytes[2];
  header->rank = file->bytes[3];
  header->element_bytes = type_bytes(header->type);
  if (header->type == IDX_F32 || header->type == IDX_F64)
    return nitic_fail(
        NITIC_MISMATCH,
        "%s: offset 2: the elements are floats, expected %s; multiply by 255 where they lie in 0..1 and save "
        "with numpy.save as uint8 (x_train.npy, y_train.npy)",
        file->path, expected);
  if (header->element_bytes == 0 || header->rank < 1 || header->rank > NITIC_MAX_RANK)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: magic 0x%08x, expected %s", file->path, read_u32(file->bytes),
                      expected);
  return NITIC_OK;
}

static int parse(const nitic_file *file, idx_header *header, const char *expected) {
  int status = check_magic(file, header, expected);
  if (status != NITIC_OK)
    return status;
  header->data = 4 + 4 * (size_t)header->rank;
  if (file->size < header->data)
    return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: the header has %zu bytes", file->path, file->size,
                      header->data);
  for (int32_t i = 0; i < header->rank; i++)
    header->shape[i] = read_u32(file->bytes + 4 + (size_t)4 * (size_t)i);
  return nitic_file_check_size(file, header->data, header->element_bytes, header->shape, header->rank);
}

static int open_images(nitic_dataset *data, const nitic_program *program, nitic_part *part) {
  static const char expected[] = "uint8 images (magic 0x00000803)";
  const nitic_file *file = &part->samples_file;
  idx_header header = {0};
  int status = parse(file, &header, expected);
  if (status != NITIC_OK)
    return status;
  if (header.rank < 2 || header.element_bytes != 1)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: magic 0x%08x, expected %s", file->path, read_u32(file->bytes),
                      expected);
  data->sign_bit = header.type == IDX_I8 ? 0x80 : 0;
  part->count = header.shape[0];
  part->samples = file->bytes + header.data;
  status = nitic_data_fit(data, program, file->path, header.shape + 1, header.rank - 1);
  part->stride = data->sample_bytes;
  return status;
}

static int open_labels(nitic_part *part) {
  static const char expected[] = "labels (magic 0x00000801)";
  const nitic_file *file = &part->labels_file;
  idx_header header = {0};
  int status = parse(file, &header, expected);
  if (status != NITIC_OK)
    return status;
  if (header.rank != 1)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: magic 0x%08x, expected %s", file->path, read_u32(file->bytes),
                      expected);
  if (header.shape[0] != part->count)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 4: %lld labels, expected %lld as in %s", file->path,
                      (long long)header.shape[0], (long long)part->count, part->samples_file.path);
  part->labels = (nitic_labels){.at = file->bytes + header.data,
                                .stride = (size_t)header.element_bytes,
                                .bytes = header.element_bytes,
                                .is_signed = header.type != IDX_U8,
                                .big_endian = true};
  return NITIC_OK;
}

int nitic_idx_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *images,
                   const char *labels) {
  nitic_part *part = nitic_parts_add(data);
  int status = part ? nitic_file_open(&part->samples_file, folder, images) : NITIC_RUNTIME;
  if (status == NITIC_OK)
    status = open_images(data, program, part);
  if (status == NITIC_OK && labels)
    status = nitic_file_open(&part->labels_file, folder, labels);
  return status == NITIC_OK && labels ? open_labels(part) : status;
}
