/* data/npy.c: NumPy's format: magic "\x93NUMPY", version, header length, a Python dict as text, then the data in C
 * order. */
#include <string.h>

#include "data/formats.h"

typedef struct {
  const char *text, *end; /* the dict */
  char byte_order, kind;  /* '|', '<' or '>'; 'u', 'i', 'f', ... */
  int32_t bytes, rank;
  int64_t shape[NITIC_MAX_RANK];
  size_t data; /* offset */
} npy_header;

static int bad_header(const nitic_file *file, const char *expected) {
  return nitic_fail(NITIC_MISMATCH, "%s: offset 10: damaged .npy header, expected %s", file->path, expected);
}

/* Where the value of a key starts, or NULL. */
static const char *value_of(const npy_header *header, const char *key) {
  size_t length = strlen(key);
  for (const char *at = header->text; (size_t)(header->end - at) > length + 2; at++) {
    if ((*at != '\'' && *at != '"') || memcmp(at + 1, key, length) != 0 || at[length + 1] != *at)
      continue;
    at += length + 2;
    while (at < header->end && (*at == ' ' || *at == ':'))
      at++;
    return at < header->end ? at : NULL;
  }
  return NULL;
}

/* '<i8' and the like. A structured type ('[') has kind 0. */
static int parse_dtype(const nitic_file *file, npy_header *header) {
  const char *at = value_of(header, "descr");
  if (!at)
    return bad_header(file, "'descr'");
  if (header->end - at < 5 || (*at != '\'' && *at != '"') || !strchr("|<>=", at[1]) || at[1] == 0)
    return bad_header(file, "a plain dtype like '|u1'");
  header->byte_order = at[1];
  header->kind = at[2];
  for (at += 3; at < header->end && *at >= '0' && *at <= '9' && header->bytes < 1000; at++)
    header->bytes = header->bytes * 10 + (*at - '0');
  return NITIC_OK;
}

static void skip(const npy_header *header, const char **at, const char *characters) {
  while (*at < header->end && **at && strchr(characters, **at))
    ++*at;
}

/* A length at *at, which moves past it; -1 when there is none below 2^48. */
static int64_t take_length(const npy_header *header, const char **at) {
  const char *start = *at;
  int64_t value = 0;
  for (; *at < header->end && **at >= '0' && **at <= '9'; ++*at) {
    value = value * 10 + (**at - '0');
    if (value >> 48)
      return -1;
  }
  return *at > start ? value : -1;
}

static int parse_shape(const nitic_file *file, npy_header *header) {
  const char *at = value_of(header, "shape");
  if (!at || *at != '(')
    return bad_header(file, "'shape'");
  for (at++, skip(header, &at, " "); at < header->end && *at != ')'; skip(header, &at, " ,")) {
    int64_t length = take_length(header, &at);
    if (length < 0)
      return bad_header(file, "a shape of whole numbers");
    if (header->rank == NITIC_MAX_RANK)
      return nitic_fail(NITIC_MISMATCH, "%s: the array has more than %d dimensions", file->path, NITIC_MAX_RANK);
    header->shape[header->rank++] = length;
  }
  if (at == header->end || header->rank == 0)
    return bad_header(file, "a shape like (60000, 28, 28)");
  return NITIC_OK;
}

static int parse_dict(const nitic_file *file, npy_header *header) {
  int status = parse_dtype(file, header);
  if (status == NITIC_OK)
    status = parse_shape(file, header);
  if (status != NITIC_OK)
    return status;
  const char *order = value_of(header, "fortran_order");
  if (!order || (*order != 'F' && *order != 'T'))
    return bad_header(file, "'fortran_order'");
  if (*order == 'T')
    return nitic_fail(NITIC_MISMATCH, "%s: the array is in Fortran order, expected C order: numpy.ascontiguousarray",
                      file->path);
  return NITIC_OK;
}

static int parse_preamble(const nitic_file *file, npy_header *header) {
  const uint8_t *b = file->bytes;
  if (file->size < 10 || memcmp(b, "\x93NUMPY", 6) != 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: no .npy file, expected the magic \\x93NUMPY", file->path);
  size_t start = b[6] == 1 ? 10 : 12, length = b[8] | (size_t)b[9] << 8;
  if (b[6] < 1 || b[6] > 3)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 6: .npy version %d, expected 1 to 3", file->path, b[6]);
  if (start == 12 && file->size >= 12)
    length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
  if (file->size < start || length > file->size - start)
    return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: the header has %zu bytes", file->path, file->size,
                      start + length);
  header->text = (const char *)b + start;
  header->end = header->text + length;
  header->data = start + length;
  return NITIC_OK;
}

static int parse(const nitic_file *file, npy_header *header) {
  int status = parse_preamble(file, header);
  return status == NITIC_OK ? parse_dict(file, header) : status;
}

/* The Python command in the message writes a new file, and stops where the values are not what it assumes. */
static int wrong_samples(const nitic_file *file, const npy_header *header) {
  const char *path = file->path;
  if (header->kind == 'f')
    return nitic_fail(
        NITIC_MISMATCH,
        "%s: offset 10: samples of dtype f%d, expected u1 or i1; floats in 0..1 become uint8 in a file beside it with: "
        "python3 -c \"import numpy as n; a = n.load('%s'); print('0..1 is assumed, found', a.min(), 'to', a.max()); "
        "assert a.min() >= 0 and a.max() <= 1; n.save('%s.u1.npy', (a * 255 + .5).astype('u1'))\"",
        path, header->bytes, path, path);
  return nitic_fail(
      NITIC_MISMATCH,
      "%s: offset 10: samples of dtype %c%d, expected u1 or i1; values in 0..255 become uint8 in a file beside it "
      "with: "
      "python3 -c \"import numpy as n; a = n.load('%s'); print('0..255 is assumed, found', a.min(), 'to', a.max()); "
      "assert a.min() >= 0 and a.max() <= 255; n.save('%s.u1.npy', a.astype('u1'))\"",
      path, header->kind, header->bytes, path, path);
}

static int open_samples(nitic_dataset *data, const nitic_program *program, nitic_part *part) {
  const nitic_file *file = &part->samples_file;
  npy_header header = {0};
  int status = parse(file, &header);
  if (status != NITIC_OK)
    return status;
  if ((header.kind != 'u' && header.kind != 'i') || header.bytes != 1)
    return wrong_samples(file, &header);
  status = nitic_file_check_size(file, header.data, header.bytes, header.shape, header.rank);
  if (status != NITIC_OK)
    return status;
  data->sign_bit = header.kind == 'i' ? 0x80 : 0;
  part->count = header.shape[0];
  part->samples = file->bytes + header.data;
  status = nitic_data_fit(data, program, file->path, header.shape + 1, header.rank - 1);
  part->stride = data->sample_bytes;
  return status;
}

static int check_label_dtype(const nitic_file *file, const npy_header *header) {
  int32_t b = header->bytes;
  bool integer = (header->kind == 'u' || header->kind == 'i') && (b == 1 || b == 2 || b == 4 || b == 8);
  if (integer && (header->byte_order != '>' || b == 1))
    return NITIC_OK;
  return nitic_fail(NITIC_MISMATCH,
                    "%s: offset 10: labels of dtype %c%c%d, expected little-endian integers; convert to a file beside "
                    "it with: python3 -c \"import numpy as n; a = n.load('%s'); b = a.astype('<i4'); "
                    "assert (a == b).all(); n.save('%s.i4.npy', b)\"",
                    file->path, header->byte_order, header->kind, b, file->path, file->path);
}

static int open_labels(nitic_part *part) {
  const nitic_file *file = &part->labels_file;
  npy_header header = {0};
  int status = parse(file, &header);
  if (status == NITIC_OK)
    status = check_label_dtype(file, &header);
  if (status == NITIC_OK)
    status = nitic_file_check_size(file, header.data, header.bytes, header.shape, header.rank);
  if (status != NITIC_OK)
    return status;
  bool flat = header.rank == 1 || (header.rank == 2 && header.shape[1] == 1);
  if (!flat || header.shape[0] != part->count)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 10: expected %lld labels in one dimension, as many as samples in %s",
                      file->path, (long long)part->count, part->samples_file.path);
  part->labels = (nitic_labels){.at = file->bytes + header.data,
                                .stride = (size_t)header.bytes,
                                .bytes = header.bytes,
                                .is_signed = header.kind == 'i'};
  return NITIC_OK;
}

int nitic_npy_open(nitic_dataset *data, const nitic_program *program, const char *folder, const char *samples,
                   const char *labels) {
  nitic_part *part = nitic_parts_add(data);
  int status = part ? nitic_file_open(&part->samples_file, folder, samples) : NITIC_RUNTIME;
  if (status == NITIC_OK)
    status = open_samples(data, program, part);
  if (status == NITIC_OK && labels)
    status = nitic_file_open(&part->labels_file, folder, labels);
  return status == NITIC_OK && labels ? open_labels(part) : status;
}
