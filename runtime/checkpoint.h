/* checkpoint.h: the file format, shared by checkpoint.c (writes), header.c (parses) and restore.c (loads). */
#ifndef NITIC_CHECKPOINT_H
#define NITIC_CHECKPOINT_H

#include "internal.h"
#include "json.h"

/* By nitic_dtype. */
extern const char *const NITIC_SAFETENSORS_NAMES[5];
extern const int32_t NITIC_ELEMENT_BYTES[5];

/* What a header says of a tensor; offsets count from the end of the header. */
typedef struct {
  bool seen;
  const char *dtype;
  uint32_t rank; /* may be above NITIC_MAX_RANK: then the shape is cut off */
  int64_t shape[NITIC_MAX_RANK];
  uint64_t begin, end;
} nitic_entry;

typedef struct {
  const char *path;
  char *data; /* the whole file */
  uint64_t bytes, header_bytes;
  const nitic_program *program;
  nitic_entry *entries; /* by index of the program's tensor */
  char *description;    /* text of the "nitic" metadata; NULL when there is none */
  const char *stranger; /* a tensor that is no state of the program */
  nitic_progress progress;
  nitic_hyper hyper;
} nitic_reader;

/* Checks the 8 bytes of length and parses the header into entries, description and stranger. */
int nitic_header_parse(nitic_reader *reader);
int nitic_header_malformed(const nitic_reader *reader, const nitic_json *json, const char *expected);

#endif
