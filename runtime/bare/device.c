/* bare/device.c: the device that is one thread of a machine without an operating system, in memory of the caller. No
 * float here: this file compiles with -mgeneral-regs-only. */
#include "bare/session.h"

enum { MOST_BUFFERS = 256 }; /* of a call */

static void *address(const nitic_device *d, uint64_t offset) {
  if (offset & NITIC_APART) /* kernels only read there */
    return (void *)(uintptr_t)(d->program->constants + (offset & ~NITIC_APART));
  return d->arena + offset;
}

int nitic_device_run(nitic_device *d, nitic_kind kind) {
  const nitic_function *function = &d->variant->functions[kind];
  void *buffers[MOST_BUFFERS];
  for (uint32_t i = 0; i < function->call_count; i++) {
    const nitic_call *call = &function->calls[i];
    const nitic_ctx all = {0, 0, call->units};
    if (call->buffer_count > MOST_BUFFERS)
      return nitic_fail(NITIC_UNSUPPORTED, "kernel %s has %u buffers", call->name, call->buffer_count);
    for (uint32_t j = 0; j < call->buffer_count; j++)
      buffers[j] = address(d, call->buffers[j]);
    if (call->kernel(buffers, &all) != 0)
      return nitic_fail(NITIC_RUNTIME, "kernel %s (call %u) failed", call->name, i);
  }
  return NITIC_OK;
}

/* ---- the caller's memory is the device's, and a run is finished when it returns */

const nitic_variant *nitic_device_variant(const nitic_device *d) { return d->variant; }
uint8_t *nitic_device_memory(nitic_device *d) { return d->arena; }

void nitic_device_clear(nitic_device *d) {
  for (uint64_t i = 0; i < d->variant->arena_bytes; i++)
    d->arena[i] = 0;
}

int nitic_device_threads(const nitic_device *d) {
  (void)d;
  return 1;
}

void nitic_device_batch(nitic_device *d, uint8_t **input, int32_t **label) {
  *input = d->arena + nitic_tensor_of(d->program, NITIC_INPUT, NULL)->offset;
  *label = (void *)(d->arena + nitic_tensor_of(d->program, NITIC_LABEL, NULL)->offset);
}

int nitic_device_depth(const nitic_device *d) {
  (void)d;
  return 1;
}

int nitic_device_open(nitic_device *d) {
  (void)d;
  return NITIC_OK;
}

int nitic_device_wait(nitic_device *d) {
  (void)d;
  return NITIC_OK;
}

int nitic_device_read(nitic_device *d) {
  (void)d;
  return NITIC_OK;
}

void nitic_device_written(nitic_device *d) { (void)d; }
