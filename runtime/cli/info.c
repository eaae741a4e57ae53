/* cli/info.c: the command info: what the program is and what its state holds. */
#include <string.h>

#include "cli/commands.h"
#include "cli/numbers.h"

static const char *const ROLES[] = {"input",    "label",        "hyper",         "weight",   "master",
                                    "velocity", "first moment", "second moment", "exponent", "statistic",
                                    "frozen",   "metric",       "output"};
static const char *const DTYPES[] = {"u8", "i8", "i16", "i32", "i64"};

static int64_t count_elements(const nitic_program *program, nitic_role role) {
  int64_t count = 0;
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (program->tensors[i].role == role)
      count += nitic_elements(&program->tensors[i]);
  return count;
}

static void print_parameters(const nitic_program *program) {
  int64_t trained = count_elements(program, NITIC_WEIGHT) + count_elements(program, NITIC_MASTER);
  int64_t frozen = count_elements(program, NITIC_FROZEN);
  printf("parameters %lld", (long long)trained);
  if (frozen)
    printf(", frozen %lld", (long long)frozen);
  printf("\n");
}

/* What a sample consists of, where that is more than one input. */
static void print_inputs(const nitic_program *program) {
  for (uint32_t i = 0; program->input_count > 1 && i < program->input_count; i++) {
    const nitic_input *input = &program->inputs[i];
    printf("%s%s ", i ? ", " : "inputs     ", input->name);
    for (uint32_t k = 0; k < input->rank; k++)
      printf("%s%lld", k ? "x" : "", (long long)input->shape[k]);
    if (i + 1 == program->input_count)
      printf("\n");
  }
}

static void print_variants(const nitic_session *s) {
  const nitic_program *program = s->program;
  for (uint32_t i = 0; i < program->variant_count; i++) {
    const nitic_variant *v = &program->variants[i];
    bool chosen = v == nitic_device_variant(s->device), runs = !chosen || nitic_device_open(s->device) == NITIC_OK;
    const char *note = chosen && runs ? " (runs here)" : nitic_variant_supported(v) ? "" : " (not on this CPU)";
    printf("variant    %s%s: arena %llu bytes, %u kernel calls a step", v->name, note,
           (unsigned long long)v->arena_bytes, v->functions[NITIC_TRAIN_STEP].call_count);
    printf(runs ? "\n" : "; it does not run here: %s\n", nitic_last_error());
  }
}

/* Shown are scalars of the state: exponents, tops (in Q8) and the input map. Weights are too many. */
static void print_value(const nitic_session *s, const nitic_tensor *tensor) {
  const int32_t *values = (const void *)(s->memory + tensor->offset);
  size_t length = strlen(tensor->name);
  char number[NITIC_NUMBER_LENGTH];
  if (tensor->dtype != NITIC_I32 || nitic_elements(tensor) != 1 || !nitic_is_state(tensor))
    return;
  if (length <= 4 || strcmp(tensor->name + length - 4, ".top") != 0)
    printf(" = %d", *values);
  else if (*values == NITIC_NEVER)
    printf(" = never set");
  else
    printf(" = %s", nitic_fixed(number, (int64_t)*values * 100 / 256, 2));
}

static void print_tensor(const nitic_session *s, const nitic_tensor *tensor) {
  printf("  %-9s %-3s [", ROLES[tensor->role], DTYPES[tensor->dtype]);
  for (uint32_t i = 0; i < tensor->rank; i++)
    printf("%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
  printf("] %s", tensor->name);
  print_value(s, tensor);
  int64_t clipped = nitic_clipped(s, tensor);
  if (clipped > 0)
    printf(", %lld of %lld at the limit", (long long)clipped, (long long)nitic_elements(tensor));
  printf("\n");
}

static void print_progress(const nitic_session *s, const char *path) {
  const nitic_progress *p = &s->progress;
  printf("checkpoint %s: step %lld, %lld of %lld epochs and %lld steps, seed %lld, lr %s, schedule %s\n", path,
         (long long)p->step, (long long)p->epoch, (long long)p->epochs, (long long)p->epoch_step, (long long)p->seed,
         s->hyper.lr_text, s->hyper.schedule_text);
}

int nitic_info(nitic_session *s, const nitic_options *o) {
  int status = o->load ? nitic_checkpoint_load(s, o->load) : NITIC_OK;
  if (status != NITIC_OK)
    return status;
  const nitic_program *program = s->program;
  printf("model      %s\nrecipe     %s%s\ncompiler   %s\nidentity   %s\n", program->model, program->recipe,
         program->momentum ? " with momentum" : "", program->compiler, program->identity);
  printf("batch      %d (part of the program's meaning)\nclasses    %d\nloss       %s\n", program->batch,
         program->classes, program->squared_error ? "sum of squares" : "cross-entropy in nats");
  print_inputs(program);
  print_parameters(program);
  printf("state      %llu bytes\n", (unsigned long long)program->state_bytes);
  print_variants(s);
  if (o->load)
    print_progress(s, o->load);
  printf("tensors\n");
  for (uint32_t i = 0; i < program->tensor_count; i++)
    print_tensor(s, &program->tensors[i]);
  return NITIC_OK;
}
