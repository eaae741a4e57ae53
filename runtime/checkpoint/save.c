/* checkpoint/save.c: saving. A checkpoint is a safetensors file: 8 bytes header length (little endian), a JSON header,
 * the data. Tensors come by falling element size and then by name, which keeps each aligned; the one metadata key
 * "nitic" holds one sorted JSON object with everything else, so equal sessions give equal files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "core/replace.h"

const char *const NITIC_SAFETENSORS_NAMES[] = {"U8", "I8", "I16", "I32", "I64"};
const int32_t NITIC_ELEMENT_BYTES[] = {1, 1, 2, 4, 8};

static int compare_tensors(const void *a, const void *b) {
  const nitic_tensor *x = *(const nitic_tensor *const *)a, *y = *(const nitic_tensor *const *)b;
  if (NITIC_ELEMENT_BYTES[x->dtype] != NITIC_ELEMENT_BYTES[y->dtype])
    return NITIC_ELEMENT_BYTES[y->dtype] - NITIC_ELEMENT_BYTES[x->dtype];
  return strcmp(x->name, y->name);
}

const nitic_tensor **nitic_sorted_state(const nitic_program *program, uint32_t *count) {
  const nitic_tensor **tensors = calloc(program->tensor_count + 1, sizeof(*tensors));
  *count = 0;
  for (uint32_t i = 0; tensors && i < program->tensor_count; i++)
    if (nitic_is_state(&program->tensors[i]))
      tensors[(*count)++] = &program->tensors[i];
  if (tensors)
    qsort(tensors, *count, sizeof *tensors, compare_tensors);
  return tensors;
}

uint64_t nitic_checksum(uint64_t sum, const void *data, size_t bytes) {
  const uint8_t *at = data;
  for (size_t i = 0; i < bytes; i++)
    sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
  return sum;
}

/* Quotes inside a value are escaped, so no value can look like the key. */
char *nitic_checksum_digits(char *description) {
  static const char key[] = "\"checksum\":\"";
  char *digits = strstr(description, key);
  digits = digits ? digits + sizeof key - 1 : NULL;
  bool good = digits && strspn(digits, "0123456789abcdef") == NITIC_CHECKSUM_DIGITS;
  return good ? digits : NULL;
}

/* Sorted by key. The checksum is still zeros. */
static void describe(const nitic_session *s, nitic_text *text) {
  const nitic_progress *p = &s->progress;
  nitic_text_add(text, "{");
  nitic_text_add_string(text, "augment", nitic_configuration(s, "augment"));
  nitic_text_add_integer(text, "batch", s->program->batch);
  nitic_text_add_string(text, "checksum", "0000000000000000");
  nitic_text_add_string(text, "compiler", s->program->compiler);
  nitic_text_add_integer(text, "epoch", p->epoch);
  nitic_text_add_integer(text, "epoch_step", p->epoch_step);
  nitic_text_add_integer(text, "epochs", p->epochs);
  nitic_text_add_string(text, "gb", nitic_configuration(s, "gb"));
  nitic_text_add_string(text, "identity", s->program->identity);
  nitic_text_add_string(text, "lr", nitic_configuration(s, "lr"));
  nitic_text_add_string(text, "model", s->program->model);
  nitic_text_add_string(text, "momentum", nitic_configuration(s, "momentum"));
  nitic_text_add_string(text, "recipe", s->program->recipe);
  nitic_text_add_integer(text, "running_correct", p->running.correct);
  nitic_text_add_integer(text, "running_count", p->running.count);
  nitic_text_add_integer(text, "running_loss", p->running.loss);
  nitic_text_add_integer(text, "samples", p->samples);
  nitic_text_add_string(text, "schedule", nitic_configuration(s, "schedule"));
  nitic_text_add_integer(text, "seed", p->seed);
  nitic_text_add_integer(text, "step", p->step);
  nitic_text_add_string(text, "weight-decay", nitic_configuration(s, "weight-decay"));
  nitic_text_add(text, "}");
}

static void add_tensor(nitic_text *header, const nitic_tensor *tensor, uint64_t begin) {
  nitic_text_add(header, ",");
  nitic_text_add_quoted(header, tensor->name);
  nitic_text_add(header, ":{\"dtype\":\"%s\",\"shape\":[", NITIC_SAFETENSORS_NAMES[tensor->dtype]);
  for (uint32_t i = 0; i < tensor->rank; i++)
    nitic_text_add(header, "%s%lld", i ? "," : "", (long long)tensor->shape[i]);
  nitic_text_add(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                 (unsigned long long)(begin + tensor->bytes));
}

static void seal(const nitic_session *s, const nitic_tensor **tensors, uint32_t count, nitic_text *description) {
  uint64_t sum = nitic_checksum(NITIC_CHECKSUM_START, description->data, description->length);
  for (uint32_t i = 0; i < count; i++) {
    sum = nitic_checksum(sum, tensors[i]->name, strlen(tensors[i]->name));
    sum = nitic_checksum(sum, s->memory + tensors[i]->offset, tensors[i]->bytes);
  }
  char text[NITIC_CHECKSUM_DIGITS + 1];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)sum);
  memcpy(nitic_checksum_digits(description->data), text, NITIC_CHECKSUM_DIGITS);
}

/* The header, padded with spaces so that the data is 8-byte aligned, behind its length. */
static void write_header(const nitic_session *s, const nitic_tensor **tensors, uint32_t count, nitic_text *out) {
  nitic_text description = {0}, header = {0};
  describe(s, &description);
  if (!description.failed)
    seal(s, tensors, count, &description);
  nitic_text_add(&header, "{\"__metadata__\":{\"nitic\":");
  nitic_text_add_quoted(&header, description.failed ? "" : description.data);
  nitic_text_add(&header, "}");
  uint64_t begin = 0;
  for (uint32_t i = 0; i < count; begin += tensors[i++]->bytes)
    add_tensor(&header, tensors[i], begin);
  nitic_text_add(&header, "}");
  while (!header.failed && header.length % 8)
    nitic_text_add(&header, " ");
  for (int i = 0; i < 8; i++)
    nitic_text_add(out, "%c", (int)((uint64_t)header.length >> 8 * i & 255));
  if (!header.failed)
    nitic_text_add(out, "%s", header.data);
  out->failed |= header.failed || description.failed;
  free(header.data);
  free(description.data);
}

/* Only an empty file or a checkpoint is replaced. */
static int check_target(const char *path) {
  uint64_t bytes = 0;
  nitic_found found = *path ? nitic_look(path, &bytes) : NITIC_SPECIAL;
  if (found == NITIC_FOLDER || found == NITIC_SPECIAL)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save here: not a regular file", *path ? path : "''");
  if (found == NITIC_FILE && bytes > 0 && !nitic_checkpoint_recognise(path))
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save here: the file is no checkpoint of nitic, so it is not replaced",
                      path);
  return NITIC_OK;
}

static int begin(const char *path, nitic_replacement **replacement, FILE **file) {
  int status = check_target(path);
  int reason = status == NITIC_OK ? nitic_replace_begin(path, replacement, file) : 0;
  return reason ? nitic_fail(NITIC_RUNTIME, "%.1000s: cannot save here: %s", path, strerror(reason)) : status;
}

int nitic_checkpoint_probe(const char *path) {
  nitic_replacement *replacement;
  FILE *file;
  int status = begin(path, &replacement, &file);
  if (status == NITIC_OK)
    nitic_replace_end(replacement, -1);
  return status;
}

static bool write_all(FILE *file, const void *data, size_t bytes) { return fwrite(data, 1, bytes, file) == bytes; }

/* Returns 0 or an errno, -1 where nobody said more. */
static int write_state(FILE *file, const nitic_session *s, const nitic_text *header, const nitic_tensor **tensors,
                       uint32_t count) {
  errno = 0;
  bool good = write_all(file, header->data, header->length);
  for (uint32_t i = 0; i < count && good; i++)
    good = write_all(file, s->memory + tensors[i]->offset, (size_t)tensors[i]->bytes);
  return good && fflush(file) == 0 ? 0 : errno ? errno : -1;
}

static int replace(const nitic_session *s, const char *path, const nitic_text *header, const nitic_tensor **tensors,
                   uint32_t count) {
  nitic_replacement *replacement;
  FILE *file;
  int status = begin(path, &replacement, &file);
  if (status != NITIC_OK)
    return status;
  int reason = nitic_replace_end(replacement, write_state(file, s, header, tensors, count));
  if (reason != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save: %s; what was there before is untouched", path, strerror(reason));
  return NITIC_OK;
}

int nitic_checkpoint_save(nitic_session *s, const char *path) {
  int status = nitic_state_read(s);
  if (status != NITIC_OK)
    return status;
  uint32_t count;
  const nitic_tensor **tensors = nitic_sorted_state(s->program, &count);
  nitic_text header = {0};
  nitic_turn_state(s->program, s->memory);
  if (tensors)
    write_header(s, tensors, count, &header);
  status = !tensors || header.failed ? nitic_fail(NITIC_RUNTIME, "%s: no memory for the header", path)
                                     : replace(s, path, &header, tensors, count);
  nitic_turn_state(s->program, s->memory);
  free(header.data);
  free(tensors);
  return status;
}
