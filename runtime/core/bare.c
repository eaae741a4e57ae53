/* core/bare.c: a program without a session: the caller has the memory. No libc, no operating system. */
#include "core/internal.h"

static bool same_name(const char *a, const char *b) {
  while (*a && *a == *b) {
    a++;
    b++;
  }
  return *a == *b;
}

const nitic_tensor *nitic_tensor_find(const nitic_program *program, const char *name) {
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (same_name(program->tensors[i].name, name))
      return &program->tensors[i];
  return NULL;
}

void nitic_bare_start(const nitic_program *program, void *arena) {
  uint8_t *at = arena;
  for (uint64_t i = 0; i < program->state_bytes; i++)
    at[i] = i < program->initial_bytes ? program->initial_state[i] : 0;
  nitic_turn_state(program, arena);
}

int nitic_bare_run(const nitic_variant *variant, nitic_kind kind, void *arena) {
  const nitic_function *function = &variant->functions[kind];
  void *buffers[NITIC_MAX_BUFFERS];
  for (uint32_t i = 0; i < function->call_count; i++) {
    const nitic_call *call = &function->calls[i];
    const nitic_ctx all = {0, 0, call->units};
    if (call->buffer_count > NITIC_MAX_BUFFERS)
      return NITIC_UNSUPPORTED;
    for (uint32_t j = 0; j < call->buffer_count; j++)
      buffers[j] = (uint8_t *)arena + call->buffers[j];
    if (call->kernel(buffers, &all) != 0)
      return NITIC_RUNTIME;
  }
  return NITIC_OK;
}
