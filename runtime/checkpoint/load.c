/* checkpoint/load.c: loading a checkpoint. The file may be anything: every length, offset and count is checked before
 * it is used, and the session changes only after the whole file has been found good. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"

static bool has_shape(const nitic_entry *e, const nitic_tensor *tensor) {
  return e->rank == tensor->rank && memcmp(e->shape, tensor->shape, tensor->rank * sizeof *e->shape) == 0;
}

/* ---- the description: progress, configuration and the program that the checkpoint belongs to */

typedef struct {
  const char *identity, *model, *recipe, *compiler;
  int64_t batch;
} owner;

static int64_t *progress_field(nitic_progress *p, const char *key) {
  const struct {
    const char *name;
    int64_t *field;
  } fields[] = {
      {"epoch", &p->epoch},
      {"epoch_step", &p->epoch_step},
      {"epochs", &p->epochs},
      {"running_correct", &p->running.correct},
      {"running_count", &p->running.count},
      {"running_loss", &p->running.loss},
      {"samples", &p->samples},
      {"seed", &p->seed},
      {"step", &p->step},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strcmp(fields[i].name, key) == 0)
      return fields[i].field;
  return NULL;
}

static void read_owner(owner *who, const char *key, const char *value) {
  if (strcmp(key, "identity") == 0)
    who->identity = value;
  else if (strcmp(key, "model") == 0)
    who->model = value;
  else if (strcmp(key, "recipe") == 0)
    who->recipe = value;
  else if (strcmp(key, "compiler") == 0)
    who->compiler = value;
}

/* A key that means nothing here is skipped, so that later versions may add some. */
static int read_pair(nitic_reader *r, nitic_json *json, owner *who) {
  const char *key = nitic_json_string(json);
  if (!key || !nitic_json_take(json, ':'))
    return nitic_header_malformed(r, json, "a key of the description");
  int64_t number, *field = strcmp(key, "batch") == 0 ? &who->batch : progress_field(&r->progress, key);
  if (nitic_json_integer(json, field ? field : &number))
    return NITIC_OK;
  const char *value = field ? NULL : nitic_json_string(json);
  if (!value)
    return nitic_header_malformed(r, json, "a value of the description");
  read_owner(who, key, value);
  if (*value && nitic_hyper_text(&r->hyper, key) && nitic_hyper_set(&r->hyper, key, value) != NITIC_OK)
    return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: '%.40s' is no value of %s", r->path, value, key);
  return NITIC_OK;
}

/* "[4, 16]" */
static void add_shape(nitic_text *text, uint32_t rank, const int64_t *shape) {
  for (uint32_t i = 0; i < rank && i < NITIC_MAX_RANK; i++)
    nitic_text_add(text, "%s%lld", i ? ", " : "[", (long long)shape[i]);
  nitic_text_add(text, rank ? "]" : "one value");
}

static void compare_texts(nitic_text *text, const char *what, const char *theirs, const char *ours) {
  if (theirs && strcmp(theirs, ours) != 0)
    nitic_text_add(text, "%s %.100s, here %.100s; ", what, theirs, ours);
}

/* The first tensor that only one of the two has, or that has another shape. */
static void compare_tensors(nitic_text *text, const nitic_reader *r) {
  for (uint32_t i = 0; i < r->program->tensor_count; i++) {
    const nitic_tensor *tensor = &r->program->tensors[i];
    const nitic_entry *e = &r->entries[i];
    if (!nitic_is_state(tensor) || (e->seen && has_shape(e, tensor)))
      continue;
    nitic_text_add(text, "tensor '%.200s' ", tensor->name);
    if (e->seen)
      add_shape(text, e->rank, e->shape);
    else
      nitic_text_add(text, "missing");
    nitic_text_add(text, ", here ");
    add_shape(text, tensor->rank, tensor->shape);
    nitic_text_add(text, "; ");
    return;
  }
  if (r->stranger)
    nitic_text_add(text, "tensor '%.200s' there, here missing; ", r->stranger);
}

/* What of the two programs differs, as far as a checkpoint tells. */
static void compare_programs(nitic_text *text, const nitic_reader *r, const owner *who) {
  const nitic_program *program = r->program;
  compare_texts(text, "recipe", who->recipe, program->recipe);
  if (who->batch != program->batch)
    nitic_text_add(text, "batch %lld, here %d (an option of nitic compile); ", (long long)who->batch, program->batch);
  compare_tensors(text, r);
  compare_texts(text, "model", who->model, program->model);
  compare_texts(text, "compiler", who->compiler, program->compiler);
  if (text->length == 0)
    nitic_text_add(text, "other options of nitic compile, or another network; ");
  nitic_text_add(text, "identity %.12s, here %.12s", who->identity ? who->identity : "?", program->identity);
}

static int check_owner(const nitic_reader *r, const owner *who) {
  if (who->identity && strcmp(who->identity, r->program->identity) == 0)
    return NITIC_OK;
  nitic_text text = {0};
  compare_programs(&text, r, who);
  nitic_fail(NITIC_MISMATCH, "%s: the checkpoint belongs to another program: %s", r->path,
             text.failed ? "?" : text.data);
  free(text.data);
  return NITIC_MISMATCH;
}

static int check_progress(const nitic_reader *r) {
  bool good = nitic_progress_is_sensible(&r->progress, r->program->batch);
  return good ? NITIC_OK : nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: its progress makes no sense", r->path);
}

/* Where the digits are in the text of a description, or NULL. Quotes inside a value are escaped, so no value can look
 * like the key. */
static char *checksum_digits(char *description) {
  static const char key[] = "\"checksum\":\"";
  char *digits = strstr(description, key);
  digits = digits ? digits + sizeof key - 1 : NULL;
  bool good = digits && strspn(digits, "0123456789abcdef") == NITIC_CHECKSUM_DIGITS;
  return good ? digits : NULL;
}

/* To call before the description is parsed: its strings are decoded in place, which changes the text. */
static void take_checksum(nitic_reader *r) {
  char *digits = checksum_digits(r->description);
  if (!digits)
    return;
  char text[NITIC_CHECKSUM_DIGITS + 1] = {0};
  memcpy(text, digits, NITIC_CHECKSUM_DIGITS);
  memset(digits, '0', NITIC_CHECKSUM_DIGITS);
  r->checksum = strtoull(text, NULL, 16);
  r->described = nitic_checksum(NITIC_CHECKSUM_START, r->description, strlen(r->description));
}

static int read_description(nitic_reader *r) {
  if (!r->description)
    return nitic_fail(NITIC_MISMATCH, "%s: a safetensors file, but no checkpoint of nitic (it lacks metadata 'nitic')",
                      r->path);
  take_checksum(r);
  nitic_json json = {r->description, r->description + strlen(r->description)};
  owner who = {0};
  int status = nitic_json_take(&json, '{') ? NITIC_OK : nitic_header_malformed(r, &json, "'{'");
  do
    if (status == NITIC_OK)
      status = read_pair(r, &json, &who);
  while (status == NITIC_OK && nitic_json_take(&json, ','));
  if (status == NITIC_OK && !nitic_json_take(&json, '}'))
    status = nitic_header_malformed(r, &json, "'}'");
  if (status == NITIC_OK)
    status = check_owner(r, &who);
  return status == NITIC_OK ? check_progress(r) : status;
}

/* ---- the tensors */

static int check_tensor(const nitic_reader *r, const nitic_tensor *tensor, const nitic_entry *e) {
  const char *what = NULL;
  if (!e->seen)
    return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: tensor '%s' is missing", r->path, tensor->name);
  if (strcmp(e->dtype, NITIC_SAFETENSORS_NAMES[tensor->dtype]) != 0)
    what = "dtype";
  else if (!has_shape(e, tensor))
    what = "shape";
  else if (e->end - e->begin != tensor->bytes)
    what = "size";
  if (what)
    return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: tensor '%s' has another %s than in the program", r->path,
                      tensor->name, what);
  uint64_t data = r->bytes - 8 - r->header_bytes;
  if (e->end > data)
    return nitic_fail(NITIC_MISMATCH, "%s: truncated: tensor '%s' ends at byte %llu of the data, the file has %llu",
                      r->path, tensor->name, (unsigned long long)e->end, (unsigned long long)data);
  return NITIC_OK;
}

static int compare_entries(const void *a, const void *b) {
  const nitic_entry *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must cover the data exactly: no overlap, no hole, nothing behind. */
static int check_tiling(const nitic_reader *r) {
  uint32_t count = r->program->tensor_count;
  nitic_entry *sorted = calloc(count + 1, sizeof *sorted);
  if (!sorted)
    return nitic_fail(NITIC_RUNTIME, "%s: no memory to check the checkpoint", r->path);
  memcpy(sorted, r->entries, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_entries);
  uint64_t at = 0;
  bool good = true;
  for (uint32_t i = 0; i < count && good; i++)
    if (sorted[i].seen) {
      good = sorted[i].begin == at;
      at = sorted[i].end;
    }
  free(sorted);
  if (good && at == r->bytes - 8 - r->header_bytes)
    return NITIC_OK;
  return nitic_fail(NITIC_MISMATCH,
                    "%s: damaged checkpoint: its tensors overlap or leave holes at byte %llu of the data", r->path,
                    (unsigned long long)at);
}

static int check_tensors(const nitic_reader *r) {
  if (r->stranger)
    return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: the program has no tensor '%.200s'", r->path,
                      r->stranger);
  for (uint32_t i = 0; i < r->program->tensor_count; i++) {
    const nitic_tensor *tensor = &r->program->tensors[i];
    int status = nitic_is_state(tensor) ? check_tensor(r, tensor, &r->entries[i]) : NITIC_OK;
    if (status != NITIC_OK)
      return status;
  }
  return check_tiling(r);
}

static int check_checksum(const nitic_reader *r) {
  const char *data = r->data + 8 + r->header_bytes;
  uint64_t sum = r->described;
  for (const nitic_tensor *t = nitic_next_state(r->program, NULL); t; t = nitic_next_state(r->program, t)) {
    const nitic_entry *e = &r->entries[t - r->program->tensors];
    sum = nitic_checksum(sum, t->name, strlen(t->name));
    sum = nitic_checksum(sum, data + e->begin, t->bytes);
  }
  if (r->described != 0 && sum == r->checksum)
    return NITIC_OK;
  return nitic_fail(NITIC_MISMATCH, "%s: damaged checkpoint: its checksum is not that of its contents", r->path);
}

/* ---- together */

static int read_checkpoint(nitic_reader *r) {
  r->entries = calloc(r->program->tensor_count + 1, sizeof *r->entries);
  if (!r->entries)
    return nitic_fail(NITIC_RUNTIME, "%s: no memory to read the checkpoint", r->path);
  int status = nitic_read(r->path, UINT64_MAX, &r->data, &r->bytes);
  if (status == NITIC_OK)
    status = nitic_header_parse(r);
  if (status == NITIC_OK)
    status = read_description(r);
  if (status == NITIC_OK)
    status = check_tensors(r);
  return status == NITIC_OK ? check_checksum(r) : status;
}

/* Length of the header that the first 8 bytes of a file promise; 0 when there are none. */
static uint64_t promised_header(const char *path) {
  nitic_reader r = {.path = path};
  uint64_t length = 0;
  if (nitic_read(path, 8, &r.data, &r.bytes) == NITIC_OK && r.bytes == 8)
    for (int i = 0; i < 8; i++)
      length |= (uint64_t)(unsigned char)r.data[i] << 8 * i;
  free(r.data);
  return length;
}

/* Reads no more than the header: the file may be anything, of any size. The header is parsed for a program without
 * tensors, so it does not matter whose checkpoint it is. */
bool nitic_checkpoint_recognise(const char *path) {
  static const nitic_program none;
  nitic_reader r = {.path = path, .program = &none};
  uint64_t length = promised_header(path);
  bool good = length > 0 && length <= NITIC_MAX_HEADER && nitic_read(path, 8 + length, &r.data, &r.bytes) == NITIC_OK &&
              nitic_header_parse(&r) == NITIC_OK && r.description;
  free(r.data);
  return good;
}

static void apply(nitic_session *s, const nitic_reader *r) {
  const char *data = r->data + 8 + r->header_bytes;
  for (uint32_t i = 0; i < r->program->tensor_count; i++)
    if (r->entries[i].seen)
      memcpy(s->memory + r->program->tensors[i].offset, data + r->entries[i].begin, r->program->tensors[i].bytes);
  nitic_turn_state(s->program, s->memory);
  nitic_state_written(s);
  s->progress = r->progress;
  s->hyper = r->hyper;
}

int nitic_checkpoint_load(nitic_session *s, const char *path) {
  nitic_reader r = {.path = path, .program = s->program, .hyper = s->hyper, .progress = {.epochs = 1}};
  int status = read_checkpoint(&r);
  if (status == NITIC_OK)
    status = nitic_settle(s);
  if (status == NITIC_OK)
    apply(s, &r);
  free(r.entries);
  free(r.data);
  return status == NITIC_OK ? nitic_begin_epoch(s, s->progress.epoch) : status;
}
