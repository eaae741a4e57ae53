/* core/checkpoint.c: a checkpoint as bytes that a caller takes or gives, piece by piece. It is a safetensors file: 8
 * bytes header length (little endian), a JSON header, the data. Tensors come by falling element size and then by name,
 * which keeps each aligned; the one metadata key "nitic" holds one sorted JSON object with everything else, so equal
 * sessions give equal files.
 *
 * `header` says all of a header once, to write it, to count its bytes, or to compare a file with it. So what is read
 * here is what nitic writes; runtime/checkpoint reads any other order and spelling, too. */
#include "core/checkpoint.h"

#include "core/words.h"

const char *const NITIC_SAFETENSORS_NAMES[] = {"U8", "I8", "I16", "I32", "I64"};
const int32_t NITIC_ELEMENT_BYTES[] = {1, 1, 2, 4, 8};

/* Below 0: `a` comes first. */
static int compare_tensors(const nitic_tensor *a, const nitic_tensor *b) {
  int32_t wider = NITIC_ELEMENT_BYTES[b->dtype] - NITIC_ELEMENT_BYTES[a->dtype];
  return wider ? (int)wider : nitic_compare(a->name, b->name);
}

const nitic_tensor *nitic_next_state(const nitic_program *program, const nitic_tensor *last) {
  const nitic_tensor *next = NULL;
  for (uint32_t i = 0; i < program->tensor_count; i++) {
    const nitic_tensor *tensor = &program->tensors[i];
    bool behind = nitic_is_state(tensor) && (!last || compare_tensors(last, tensor) < 0);
    if (behind && (!next || compare_tensors(tensor, next) < 0))
      next = tensor;
  }
  return next;
}

uint64_t nitic_checksum(uint64_t sum, const void *data, uint64_t bytes) {
  const uint8_t *at = data;
  for (uint64_t i = 0; i < bytes; i++)
    sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
  return sum;
}

bool nitic_progress_is_sensible(const nitic_progress *p, int32_t batch) {
  const int64_t limit = (int64_t)1 << 40, most = limit << 20;
  bool good = p->seed >= 0 && p->epochs >= 1 && p->epochs <= 1000000000 && p->epoch >= 0 && p->epoch < limit &&
              p->epoch_step >= 0 && p->epoch_step < limit && p->step >= 0 && p->step < limit && p->samples >= 0;
  good = good && p->running.count >= 0 && p->running.count < limit && p->running.correct >= 0 &&
         p->running.correct <= p->running.count;
  good = good && p->running.loss < most && p->running.loss > -most;
  return good && (p->samples == 0 || p->epoch_step <= p->samples / batch);
}

/* ---- a header */

enum { HELD = 128, DIGITS = 20 }; /* bytes that pass at a time; of an int64 */

/* A header on its way. `sink` takes it, or `source` gives what it is compared with, or it is only counted. */
typedef struct {
  const nitic_program *program;
  const nitic_session *session;
  nitic_progress *progress; /* is read where there is a source */
  nitic_hyper *hyper;
  char checksum[NITIC_CHECKSUM_DIGITS];
  nitic_sink *sink;
  nitic_source *source;
  void *context;
  int status;
  uint64_t position; /* in the file */
  uint64_t sum;      /* of the description, so far */
  bool described;    /* inside the description */
  char last;         /* that was put */
  size_t held;       /* bytes for the sink, or that the source gave and are not compared yet */
  char bytes[HELD];
} stream;

static void flush(stream *s) {
  if (s->status == NITIC_OK && s->held)
    s->status = s->sink(s->context, s->bytes, s->held);
  s->held = 0;
}

/* The next character of the source; 0 where there is none. */
static char next(stream *s) {
  if (s->status == NITIC_OK)
    s->status = s->source(s->context, s->position, s->bytes, 1);
  if (s->status != NITIC_OK)
    return 0;
  s->position++;
  return s->bytes[0];
}

static void differs(stream *s) {
  if (s->status == NITIC_OK)
    s->status = nitic_fail(NITIC_MISMATCH, "byte %lld of the checkpoint is not what this program writes",
                           (long long)s->position - 1);
}

static void put_byte(stream *s, char c) {
  if (s->source) {
    if (next(s) != c)
      differs(s);
    return;
  }
  s->position++;
  if (!s->sink)
    return;
  s->bytes[s->held++] = c;
  if (s->held == HELD)
    flush(s);
}

/* A character as a string of JSON has it. */
static int escape(char c, char out[6]) {
  static const char digits[] = "0123456789abcdef";
  if (c == '"' || c == '\\') {
    out[0] = '\\';
    out[1] = c;
    return 2;
  }
  if ((unsigned char)c >= 0x20) {
    out[0] = c;
    return 1;
  }
  const char code[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
  memcpy(out, code, sizeof code);
  return sizeof code;
}

static void count_in(stream *s, char c) { s->sum = nitic_checksum(s->sum, &c, 1); }

/* A character; the description as a whole is a string. */
static void put(stream *s, char c) {
  char escaped[6];
  s->last = c;
  if (!s->described) {
    put_byte(s, c);
    return;
  }
  count_in(s, c);
  for (int i = 0, count = escape(c, escaped); i < count; i++)
    put_byte(s, escaped[i]);
}

static void put_text(stream *s, const char *text) {
  for (; *text; text++)
    put(s, *text);
}

/* A string with its quotes. */
static void put_string(stream *s, const char *text) {
  char escaped[6];
  put(s, '"');
  for (; *text; text++)
    for (int i = 0, count = escape(*text, escaped); i < count; i++)
      put(s, escaped[i]);
  put(s, '"');
}

static void put_number(stream *s, int64_t value) {
  char digits[DIGITS];
  int count = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do
    digits[count++] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0)
    put(s, '-');
  while (count > 0)
    put(s, digits[--count]);
}

/* With the comma before it, where it is not the first of its object. */
static void put_key(stream *s, const char *key) {
  put_text(s, s->last == '{' ? "\"" : ",\"");
  put_text(s, key);
  put_text(s, "\":");
}

/* ---- the description: sorted by key */

/* What stands in a file for a value may be any: characters up to `end`, which is not taken; they are no escapes. */
static int take(stream *s, char *text, int most, char end) {
  int count = 0;
  for (char c = next(s); s->status == NITIC_OK; c = next(s)) {
    if (c == end || count == most)
      break;
    count_in(s, c);
    text[count++] = c;
  }
  text[count] = 0;
  s->position--;
  return count;
}

static void field_string(stream *s, const char *key, const char *value) {
  put_key(s, key);
  put_string(s, value);
}

/* A number that a file decides about: it ends where the comma does. */
static void field_number(stream *s, const char *key, int64_t *value) {
  put_key(s, key);
  if (s->source) {
    char digits[DIGITS + 1];
    int count = take(s, digits, DIGITS, ',');
    bool negative = digits[0] == '-';
    uint64_t number = 0;
    for (int i = negative; i < count; i++) {
      if (digits[i] < '0' || digits[i] > '9')
        differs(s);
      number = number * 10 + (uint64_t)(digits[i] - '0');
    }
    *value = (int64_t)(negative ? 0 - number : number);
  } else {
    put_number(s, *value);
  }
}

/* Of a file's string only its bytes are known: a quote within the description has a backslash before it. */
static void take_string(stream *s, char *text, int most) {
  put(s, '"');
  take(s, text, most, '\\');
  put(s, '"');
}

static void field_option(stream *s, const char *name) {
  char text[NITIC_OPTION_LENGTH];
  if (!s->source) {
    field_string(s, name, nitic_configuration(s->session, name));
    return;
  }
  put_key(s, name);
  take_string(s, text, NITIC_OPTION_LENGTH - 1);
  if (s->status == NITIC_OK && *text)
    s->status = nitic_hyper_set(s->hyper, name, text);
}

static void field_compiler(stream *s) {
  char text[NITIC_OPTION_LENGTH]; /* another version's is as good: the identity says what the program is */
  if (!s->source) {
    field_string(s, "compiler", s->program->compiler);
    return;
  }
  put_key(s, "compiler");
  take_string(s, text, NITIC_OPTION_LENGTH - 1);
}

/* The digits count as zeros in the sum. */
static void field_checksum(stream *s) {
  put_key(s, "checksum");
  put(s, '"');
  s->described = false;
  for (int i = 0; i < NITIC_CHECKSUM_DIGITS; i++) {
    count_in(s, '0');
    if (s->source)
      s->checksum[i] = next(s);
    else
      put(s, s->checksum[i]);
  }
  s->described = true;
  put(s, '"');
}

static void describe(stream *s) {
  nitic_progress *p = s->progress;
  int64_t batch = s->program->batch;
  put(s, '{');
  field_option(s, "augment");
  field_number(s, "batch", &batch);
  field_checksum(s);
  field_compiler(s);
  field_number(s, "epoch", &p->epoch);
  field_number(s, "epoch_step", &p->epoch_step);
  field_number(s, "epochs", &p->epochs);
  field_option(s, "gb");
  field_string(s, "identity", s->program->identity);
  field_option(s, "lr");
  field_string(s, "model", s->program->model);
  field_option(s, "momentum");
  field_string(s, "recipe", s->program->recipe);
  field_number(s, "running_correct", &p->running.correct);
  field_number(s, "running_count", &p->running.count);
  field_number(s, "running_loss", &p->running.loss);
  field_number(s, "samples", &p->samples);
  field_option(s, "schedule");
  field_number(s, "seed", &p->seed);
  field_number(s, "step", &p->step);
  field_option(s, "warmup");
  field_option(s, "weight-decay");
  put(s, '}');
}

static void describe_tensor(stream *s, const nitic_tensor *tensor, uint64_t begin) {
  put(s, ',');
  put_string(s, tensor->name);
  put_text(s, ":{\"dtype\":\"");
  put_text(s, NITIC_SAFETENSORS_NAMES[tensor->dtype]);
  put_text(s, "\",\"shape\":[");
  for (uint32_t i = 0; i < tensor->rank; i++) {
    put_text(s, i ? "," : "");
    put_number(s, tensor->shape[i]);
  }
  put_text(s, "],\"data_offsets\":[");
  put_number(s, (int64_t)begin);
  put(s, ',');
  put_number(s, (int64_t)(begin + tensor->bytes));
  put_text(s, "]}");
}

/* Everything before the data, padded with spaces so that this is 8-byte aligned; `bytes` of it are behind the length.
 */
static void header(stream *s, uint64_t bytes) {
  s->position = 0;
  s->sum = NITIC_CHECKSUM_START;
  for (int i = 0; i < 8; i++)
    put_byte(s, (char)(bytes >> 8 * i & 255));
  put_text(s, "{\"__metadata__\":{\"nitic\":\"");
  s->described = true;
  describe(s);
  s->described = false;
  put_text(s, "\"}");
  uint64_t begin = 0;
  for (const nitic_tensor *t = nitic_next_state(s->program, NULL); t; t = nitic_next_state(s->program, t)) {
    describe_tensor(s, t, begin);
    begin += t->bytes;
  }
  put(s, '}');
  while (s->position % 8 && s->status == NITIC_OK)
    put(s, ' ');
}

static void seal(stream *s, uint64_t sum) {
  for (int i = 0; i < NITIC_CHECKSUM_DIGITS; i++)
    s->checksum[i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
}

static uint64_t sum_name(uint64_t sum, const nitic_tensor *tensor) {
  return nitic_checksum(sum, tensor->name, nitic_length(tensor->name));
}

/* ---- writing */

/* The state has its lowest bytes first. */
static int write(nitic_session *session, nitic_sink *sink, void *context) {
  stream s = {.program = session->program, .session = session, .progress = &session->progress, .context = context};
  header(&s, 0);
  uint64_t bytes = s.position - 8, sum = s.sum;
  for (const nitic_tensor *t = nitic_next_state(s.program, NULL); t; t = nitic_next_state(s.program, t))
    sum = nitic_checksum(sum_name(sum, t), nitic_elements_of(session, t), t->bytes);
  seal(&s, sum);
  s.sink = sink;
  header(&s, bytes);
  flush(&s);
  for (const nitic_tensor *t = nitic_next_state(s.program, NULL); t && s.status == NITIC_OK;
       t = nitic_next_state(s.program, t))
    s.status = sink(context, nitic_elements_of(session, t), (size_t)t->bytes);
  return s.status;
}

int nitic_checkpoint_write(nitic_session *session, nitic_sink *sink, void *context) {
  int status = nitic_state_read(session);
  if (status != NITIC_OK)
    return status;
  nitic_turn_state(session->program, session->memory);
  status = write(session, sink, context);
  nitic_turn_state(session->program, session->memory);
  return status;
}

/* ---- reading */

/* What is a constant of the program has to be the same in the file. */
static void compare_constants(stream *s, const nitic_tensor *tensor, uint64_t at, size_t count) {
  const uint8_t *ours = nitic_elements_of(s->session, tensor) + at;
  for (size_t i = 0; i < count && s->status == NITIC_OK; i++)
    if ((uint8_t)s->bytes[i] != ours[i])
      s->status =
          nitic_fail(NITIC_MISMATCH, "frozen parameter '%.200s' is another one in the checkpoint", tensor->name);
}

/* The sum over the data, which begins at s->position. */
static uint64_t sum_data(stream *s, uint64_t sum) {
  uint64_t at = s->position;
  for (const nitic_tensor *t = nitic_next_state(s->program, NULL); t; t = nitic_next_state(s->program, t)) {
    sum = sum_name(sum, t);
    for (uint64_t done = 0; done < t->bytes && s->status == NITIC_OK; done += HELD) {
      size_t count = t->bytes - done < HELD ? (size_t)(t->bytes - done) : HELD;
      s->status = s->source(s->context, at + done, s->bytes, count);
      sum = nitic_checksum(sum, s->bytes, count);
      if (nitic_is_constant(t))
        compare_constants(s, t, done, count);
    }
    at += t->bytes;
  }
  return sum;
}

static int check(stream *s) {
  uint8_t length[8] = {0};
  uint64_t bytes = 0;
  char found[NITIC_CHECKSUM_DIGITS];
  s->status = s->source(s->context, 0, length, sizeof length);
  for (int i = 0; i < 8; i++)
    bytes |= (uint64_t)length[i] << 8 * i;
  header(s, bytes);
  if (s->status == NITIC_OK && s->position != 8 + bytes)
    differs(s);
  if (s->status == NITIC_OK && !nitic_progress_is_sensible(s->progress, s->program->batch))
    s->status = nitic_fail(NITIC_MISMATCH, "damaged checkpoint: its progress makes no sense");
  memcpy(found, s->checksum, sizeof found);
  seal(s, sum_data(s, s->sum));
  for (int i = 0; i < NITIC_CHECKSUM_DIGITS && s->status == NITIC_OK; i++)
    if (found[i] != s->checksum[i])
      s->status = nitic_fail(NITIC_MISMATCH, "damaged checkpoint: its checksum is not that of its contents");
  return s->status;
}

int nitic_checkpoint_read(nitic_session *session, nitic_source *source, void *context) {
  nitic_progress progress = {.epochs = 1};
  nitic_hyper hyper = session->hyper;
  stream s = {.program = session->program,
              .session = session,
              .progress = &progress,
              .hyper = &hyper,
              .source = source,
              .context = context};
  int status = nitic_settle(session);
  if (status == NITIC_OK)
    status = check(&s);
  uint64_t at = s.position;
  for (const nitic_tensor *t = nitic_next_state(s.program, NULL); t && status == NITIC_OK;
       t = nitic_next_state(s.program, t)) {
    if (!nitic_is_constant(t))
      status = source(context, at, session->memory + t->offset, (size_t)t->bytes);
    at += t->bytes;
  }
  if (status != NITIC_OK)
    return status;
  nitic_turn_state(session->program, session->memory);
  nitic_state_written(session);
  session->progress = progress;
  session->hyper = hyper;
  return nitic_begin_epoch(session, progress.epoch);
}
