/* data/packed.c: the image shards that `nitic data pack` writes (docs/data.md): a header of 64 bytes, little endian,
 * then the images as uint8 HxWxC, then their labels as int32. */
#include <stdio.h>
#include <string.h>

#include "data/formats.h"

enum { HEADER = 64, VERSION = 1, MAX_CHANNELS = 4 };
static const char MAGIC[] = {'N', 'I', 'T', 'I', 'C', 'I', 'M', 'G'};

typedef struct {
  uint32_t version, shard, shards, height, width, channels;
  int64_t count;
} packed_header;

static uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static int check_shape(const nitic_file *file, const packed_header *h) {
  const uint32_t sides[] = {h->height, h->width};
  for (int i = 0; i < 2; i++)
    if (sides[i] < 1 || sides[i] > NITIC_MAX_STORED_SIDE)
      return nitic_fail(NITIC_MISMATCH, "%s: offset %d: images of %ux%u, expected sides from 1 to %d", file->path,
                        20 + 4 * i, h->height, h->width, NITIC_MAX_STORED_SIDE);
  if (h->channels < 1 || h->channels > MAX_CHANNELS)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 28: %u channels, expected 1 to %d", file->path, h->channels,
                      MAX_CHANNELS);
  return h->count > 0 ? NITIC_OK
                      : nitic_fail(NITIC_MISMATCH, "%s: offset 32: %lld images, expected at least 1", file->path,
                                   (long long)h->count);
}

static int64_t image_bytes(const packed_header *h) { return (int64_t)h->height * h->width * h->channels; }

static int parse(const nitic_file *file, packed_header *h) {
  const uint8_t *b = file->bytes;
  if (file->size < sizeof MAGIC || memcmp(b, MAGIC, sizeof MAGIC) != 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: no packed images, expected the magic NITICIMG", file->path);
  if (file->size < HEADER)
    return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: the header has %d bytes", file->path, file->size,
                      HEADER);
  *h = (packed_header){read_u32(b + 8),
                       read_u32(b + 12),
                       read_u32(b + 16),
                       read_u32(b + 20),
                       read_u32(b + 24),
                       read_u32(b + 28),
                       (int64_t)((uint64_t)read_u32(b + 36) << 32 | read_u32(b + 32))};
  if (h->version != VERSION)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 8: version %u of packed images, expected %d", file->path, h->version,
                      VERSION);
  int status = check_shape(file, h);
  if (status != NITIC_OK)
    return status;
  const int64_t shape[] = {h->count, image_bytes(h) + 4}; /* with the label */
  return nitic_file_check_size(file, HEADER, 1, shape, 2);
}

static int open_shard(nitic_dataset *data, const nitic_program *program, const char *folder, const char *name,
                      packed_header *h) {
  nitic_part *part = nitic_parts_add(data);
  int status = part ? nitic_file_open(&part->samples_file, folder, name) : NITIC_RUNTIME;
  if (status == NITIC_OK)
    status = parse(&part->samples_file, h);
  if (status != NITIC_OK)
    return status;
  const nitic_file *file = &part->samples_file;
  data->packed = true;
  part->count = h->count;
  part->samples = file->bytes + HEADER;
  part->stride = (size_t)image_bytes(h);
  part->labels =
      (nitic_labels){.at = part->samples + (size_t)h->count * part->stride, .stride = 4, .bytes = 4, .is_signed = true};
  return nitic_data_fit_image(data, program, file->path, (nitic_size){(int32_t)h->height, (int32_t)h->width},
                              (int32_t)h->channels);
}

static int check_shard(const nitic_dataset *data, const packed_header *first, const packed_header *h, uint32_t index) {
  const char *path = data->parts[index].samples_file.path;
  if (h->shard != index || h->shards != first->shards || h->shards <= index)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 12: shard %u of %u, expected shard %u of %u", path, h->shard,
                      h->shards, index, first->shards);
  if (h->height != first->height || h->width != first->width || h->channels != first->channels)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 20: images of %ux%ux%u, expected %ux%ux%u as in %s", path, h->height,
                      h->width, h->channels, first->height, first->width, first->channels,
                      data->parts[0].samples_file.path);
  return NITIC_OK;
}

int nitic_packed_open(nitic_dataset *data, const nitic_program *program, const char *folder, nitic_split split) {
  packed_header first = {.shards = 1}, header = {0};
  int status = NITIC_OK;
  for (uint32_t i = 0; status == NITIC_OK && i < first.shards; i++) {
    char name[32];
    snprintf(name, sizeof name, "%s-%05u.images", split == NITIC_TRAIN_SPLIT ? "train" : "test", i);
    status = open_shard(data, program, folder, name, &header);
    if (i == 0)
      first = header;
    if (status == NITIC_OK)
      status = check_shard(data, &first, &header, i);
  }
  return status;
}

int nitic_packed_open_file(nitic_dataset *data, const nitic_program *program, const char *path) {
  packed_header header = {0};
  return open_shard(data, program, "", path, &header);
}
