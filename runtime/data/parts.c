/* data/parts.c: see parts.h. */
#include "data/parts.h"

#include <stdlib.h>
#include <string.h>

nitic_part *nitic_parts_add(nitic_dataset *data) {
  int32_t count = data->part_count;
  bool full = (count & (count - 1)) == 0; /* the room is a power of two */
  size_t room = count ? 2 * (size_t)count : 1;
  nitic_part *parts = NULL;
  if (count < NITIC_MAX_PARTS)
    parts = full ? realloc(data->parts, room * sizeof *parts) : data->parts;
  if (!parts) {
    nitic_fail(NITIC_RUNTIME, "no room for more than %d data files", count);
    return NULL;
  }
  data->parts = parts;
  memset(&parts[count], 0, sizeof *parts);
  data->part_count++;
  return &parts[count];
}

const nitic_part *nitic_parts_find(const nitic_dataset *data, int64_t *index) {
  const nitic_part *part = data->parts;
  while (*index >= part->count)
    *index -= part++->count;
  return part;
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

int32_t nitic_part_label(const nitic_part *part, int64_t index) {
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

int nitic_parts_check(nitic_dataset *data) {
  for (int32_t i = 0; i < data->part_count; i++) {
    int status = check_labels(data, &data->parts[i]);
    if (status != NITIC_OK)
      return status;
    data->count += data->parts[i].count;
  }
  return nitic_file_check_lost();
}

int32_t nitic_data_label(const nitic_dataset *data, int64_t index) {
  data = data->inputs ? data->inputs : data;
  const nitic_part *part = nitic_parts_find(data, &index);
  return nitic_part_label(part, index);
}
