/* checkpoint/checkpoint.h: the file format, shared by save.c, header.c (parses) and load.c (reads). */
#ifndef NITIC_CHECKPOINT_CHECKPOINT_H
#define NITIC_CHECKPOINT_CHECKPOINT_H

#include "core/checkpoint.h"
#include "hosted/json.h"

enum { NITIC_MAX_HEADER = 100 * 1000 * 1000 }; /* the limit of safetensors itself */

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
  nitic_entry *entries;         /* by index of the program's tensor */
  char *description;            /* text of the "nitic" metadata; NULL when there is none */
  const char *stranger;         /* the name of a tensor that is not in the state of the program */
  uint64_t checksum, described; /* as the file states it; as computed, of the description alone */
  nitic_progress progress;
  nitic_hyper hyper;
} nitic_reader;

/* Whether the file holds a checkpoint of nitic, of whatever program. */
bool nitic_checkpoint_recognise(const char *path);

/* Checks the 8 bytes of length and parses the header into entries, description and stranger. */
int nitic_header_parse(nitic_reader *reader);
int nitic_header_malformed(const nitic_reader *reader, const nitic_json *json, const char *expected);

#endif
