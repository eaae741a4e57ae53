/* core/session.c: a program, its tensors and its device. */
#include "core/internal.h"
#include "core/words.h"

int32_t nitic_label_count(const nitic_program *program) {
  return program->classes == 1 && program->squared_error ? NITIC_NUMBERS : program->classes;
}

/* The caller may write to the memory, so the state counts as changed. */
void *nitic_session_tensor(nitic_session *s, const char *name) {
  const nitic_tensor *tensor = nitic_tensor_find(s->program, name);
  if (!tensor || nitic_is_constant(tensor) || nitic_state_read(s) != NITIC_OK)
    return NULL;
  if (tensor->role == NITIC_INPUT || tensor->role == NITIC_LABEL)
    return tensor->role == NITIC_INPUT ? (void *)s->input : s->label;
  if (nitic_is_state(tensor))
    nitic_state_written(s);
  return s->memory + tensor->offset;
}

const nitic_tensor *nitic_tensor_find(const nitic_program *program, const char *name) {
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (nitic_same(program->tensors[i].name, name))
      return &program->tensors[i];
  return NULL;
}

const nitic_tensor *nitic_tensor_of(const nitic_program *program, nitic_role role, const char *name) {
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (program->tensors[i].role == role && (!name || nitic_same(program->tensors[i].name, name)))
      return &program->tensors[i];
  return NULL;
}

static void *memory_of(const nitic_session *s, nitic_role role, const char *name) {
  const nitic_tensor *tensor = nitic_tensor_of(s->program, role, name);
  return tensor ? s->memory + tensor->offset : NULL;
}

static int check_program(const nitic_program *program) {
  if (program->abi_version != NITIC_ABI_VERSION)
    return nitic_fail(NITIC_UNSUPPORTED, "the program has ABI version %u, this runtime %d", program->abi_version,
                      NITIC_ABI_VERSION);
  const struct {
    nitic_role role;
    const char *name;
  } needed[] = {
      {NITIC_METRIC, "loss"}, {NITIC_METRIC, "correct"}, {NITIC_OUTPUT, "logits"}, {NITIC_OUTPUT, "logits.exponent"}};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (!nitic_tensor_of(program, needed[i].role, needed[i].name))
      return nitic_fail(NITIC_UNSUPPORTED, "the program has no tensor '%s'", needed[i].name);
  if (!nitic_tensor_of(program, NITIC_INPUT, NULL) || !nitic_tensor_of(program, NITIC_LABEL, NULL) ||
      program->batch < 1)
    return nitic_fail(NITIC_UNSUPPORTED, "the program has no input, label or batch");
  return NITIC_OK;
}

static void bind_tensors(nitic_session *s) {
  const nitic_tensor *input = nitic_tensor_of(s->program, NITIC_INPUT, NULL);
  if (!input) /* check_program has found it */
    return;
  s->memory = nitic_device_memory(s->device);
  s->sample_bytes = (size_t)(nitic_elements(input) / s->program->batch);
  s->channels = input->rank == 4 ? (int32_t)input->shape[3] : 1;
  s->step = memory_of(s, NITIC_HYPER, "step");
  s->seed = memory_of(s, NITIC_HYPER, "seed");
  s->loss = memory_of(s, NITIC_METRIC, "loss");
  s->correct = memory_of(s, NITIC_METRIC, "correct");
  s->logits = memory_of(s, NITIC_OUTPUT, "logits");
  s->logits_exponent = memory_of(s, NITIC_OUTPUT, "logits.exponent");
  s->input_multiplier = memory_of(s, NITIC_STATISTIC, "input.multiplier");
  s->input_exponent = memory_of(s, NITIC_EXPONENT, "input.exponent");
  s->input_offset = memory_of(s, NITIC_STATISTIC, "input.offset");
}

/* Writes the initial state to memory that is all zero. */
static void start(nitic_session *s) {
  memcpy(s->memory, s->program->initial_state, (size_t)s->program->initial_bytes);
  nitic_turn_state(s->program, s->memory);
  nitic_state_written(s);
  s->progress = (nitic_progress){.epochs = 1};
  nitic_begin_epoch(s, 0);
}

void nitic_session_reset(nitic_session *s) {
  nitic_settle(s);
  nitic_take_metrics(s);
  nitic_device_clear(s->device);
  start(s);
}

static nitic_update_rule rule_of(const nitic_program *program) {
  if (nitic_tensor_of(program, NITIC_HYPER, "gb"))
    return NITIC_BITS;
  if (nitic_tensor_of(program, NITIC_HYPER, "lr_m"))
    return NITIC_MOMENTS;
  return program->momentum ? NITIC_MOMENTUM : NITIC_PLAIN;
}

int nitic_session_begin(nitic_session *s, const nitic_program *program, int threads, const char *variant) {
  s->program = program;
  int status = check_program(program);
  if (status == NITIC_OK)
    status = nitic_device_create(s->program, threads, variant, &s->device);
  if (status != NITIC_OK)
    return status;
  bind_tensors(s);
  nitic_hyper_defaults(&s->hyper, rule_of(s->program));
  start(s);
  return NITIC_OK;
}

int nitic_session_open(nitic_session *s) {
  int status = nitic_device_open(s->device);
  if (status == NITIC_OK)
    nitic_device_batch(s->device, &s->input, &s->label);
  return status;
}

int nitic_state_read(nitic_session *s) {
  int status = nitic_settle(s);
  return status == NITIC_OK ? nitic_device_read(s->device) : status;
}

void nitic_state_written(nitic_session *s) { nitic_device_written(s->device); }

const char *nitic_session_variant(const nitic_session *s) { return nitic_device_variant(s->device)->name; }
int nitic_session_threads(const nitic_session *s) { return nitic_device_threads(s->device); }
nitic_progress *nitic_session_progress(nitic_session *s) { return &s->progress; }

/* A multiplier is at least 1, so 0 means that the statistics were never set. */
int nitic_session_normalised(const nitic_session *s) {
  return s->program->normalised || !s->input_multiplier || s->input_multiplier[0] != 0;
}

int nitic_statistics_check(const nitic_session *s) {
  if (!s->input_multiplier || !s->input_offset || !s->input_exponent)
    return nitic_fail(NITIC_USAGE, "the program takes no input statistics");
  return NITIC_OK;
}

int nitic_statistics_set(nitic_session *s, nitic_statistics *statistics) {
  int status = nitic_state_read(s);
  if (status == NITIC_OK)
    status = nitic_statistics_map(statistics, s->input_multiplier, s->input_offset, s->input_exponent);
  if (status == NITIC_OK)
    nitic_state_written(s);
  return status;
}

static bool is_top(const nitic_tensor *tensor) {
  size_t length = nitic_length(tensor->name);
  return tensor->role == NITIC_STATISTIC && tensor->dtype == NITIC_I32 && length > 4 &&
         nitic_same(tensor->name + length - 4, ".top");
}

/* Whether no `top` is set. A layer whose activations are all zero never sets its own, so one that is set is enough. */
static bool without_tops(const nitic_session *s) {
  int tops = 0;
  for (uint32_t i = 0; i < s->program->tensor_count; i++) {
    const nitic_tensor *tensor = &s->program->tensors[i];
    if (!is_top(tensor))
      continue;
    tops++;
    if (*(const int32_t *)(const void *)(s->memory + tensor->offset) != NITIC_NEVER)
      return false;
  }
  return tops > 0;
}

/* A `top` that is set stays set. So where the host's copy of the state has one, the copy may be old, and the device
 * need not be asked for the newest state. */
int nitic_session_untrained(nitic_session *s) {
  return without_tops(s) && (nitic_state_read(s) != NITIC_OK || without_tops(s));
}

int nitic_set_hyper(nitic_session *s, const char *name, int64_t value) {
  const nitic_tensor *tensor = nitic_tensor_of(s->program, NITIC_HYPER, name);
  if (!tensor)
    return nitic_fail(NITIC_USAGE, "the program has no hyper-parameter '%s'", name);
  void *memory = s->memory + tensor->offset;
  if (tensor->dtype == NITIC_I64)
    *(int64_t *)memory = value;
  else
    *(int32_t *)memory = (int32_t)value;
  return NITIC_OK;
}

/* For the values of a schedule: a program without the tensor does not use the value. */
static void set_if_present(nitic_session *s, const char *name, int32_t value) {
  if (nitic_tensor_of(s->program, NITIC_HYPER, name))
    nitic_set_hyper(s, name, value);
}

static int values_of(const nitic_session *s, nitic_values *values) {
  const nitic_progress *p = &s->progress;
  return nitic_hyper_values(&s->hyper, s->program->batch, s->epoch, p->epochs, p->step, values);
}

static void set_rates(nitic_session *s, const nitic_values *values) {
  set_if_present(s, "rate_m", values->rate.m);
  set_if_present(s, "rate_k", values->rate.k);
  set_if_present(s, "decay", values->decay);
  set_if_present(s, "lr_m", values->unscaled.m);
  set_if_present(s, "lr_k", values->unscaled.k);
  set_if_present(s, "shrink", values->shrink);
}

int nitic_begin_epoch(nitic_session *s, int64_t epoch) {
  nitic_values values;
  s->epoch = epoch;
  int status = values_of(s, &values);
  if (status != NITIC_OK)
    return status;
  set_rates(s, &values);
  set_if_present(s, "momentum", values.momentum);
  set_if_present(s, "gb", values.gb);
  return NITIC_OK;
}

int nitic_raise_rates(nitic_session *s) {
  nitic_values values;
  if (s->hyper.warmup == 0 || s->progress.step > s->hyper.warmup)
    return NITIC_OK;
  int status = values_of(s, &values);
  if (status == NITIC_OK)
    set_rates(s, &values);
  return status;
}
