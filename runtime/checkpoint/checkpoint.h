/* checkpoint/checkpoint.h: the file format, shared by save.c (writes), header.c (parses) and load.c (reads). */
#ifndef NITIC_CHECKPOINT_CHECKPOINT_H
#define NITIC_CHECKPOINT_CHECKPOINT_H

#include "core/internal.h"
#include "core/json.h"

enum { NITIC_MAX_HEADER = 100 * 1000 * 1000 }; /* the limit of safetensors itself */

/* Indexed by nitic_dtype. */
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
  nitic_entry *entries;         /* by index of the program's tensor */
  char *description;            /* text of the "nitic" metadata; NULL when there is none */
  const char *stranger;         /* the name of a tensor that is not in the state of the program */
  uint64_t checksum, described; /* as the file states it; as computed, of the description alone */
  nitic_progress progress;
  nitic_hyper hyper;
} nitic_reader;

/* The program's state in the order of the file; NULL without memory. The caller frees it. */
const nitic_tensor **nitic_sorted_state(const nitic_program *program, uint32_t *count);

/* The description has "checksum":"0123456789abcdef": FNV-1a over the description with zeros for these digits and then
 * over each tensor, name and data, in the order of nitic_sorted_state. */
enum { NITIC_CHECKSUM_DIGITS = 16 };
#define NITIC_CHECKSUM_START UINT64_C(0xcbf29ce484222325)
uint64_t nitic_checksum(uint64_t sum, const void *data, size_t bytes);
/* Where the digits are in the text of a description, or NULL. */
char *nitic_checksum_digits(char *description);

/* Whether the file holds a checkpoint of nitic, of whatever program. */
bool nitic_checkpoint_recognise(const char *path);

/* Checks the 8 bytes of length and parses the header into entries, description and stranger. */
int nitic_header_parse(nitic_reader *reader);
int nitic_header_malformed(const nitic_reader *reader, const nitic_json *json, const char *expected);

#endif
