/* cpu/device.c: the device that is threads of this machine. A training step runs here and in the kernels, without any
 * floating point: this file compiles with -mgeneral-regs-only. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/internal.h"
#include "cpu/pool.h"
#include "cpu/variant.h"

enum { ALIGNMENT = 64, SLACK = 64 }; /* kernels may read up to 64 bytes past their last buffer */

/* A function of the chosen variant, and the addresses of the buffers of its calls, one call after another. */
typedef struct {
  const nitic_call *calls;
  uint32_t call_count;
  void **buffers;
} bound;

struct nitic_device {
  const nitic_program *program;
  const nitic_variant *variant;
  nitic_pool *pool;
  uint8_t *arena;
  size_t bytes;
  void **addresses; /* storage of all bound.buffers */
  bound functions[NITIC_KINDS];
  uint8_t *input;
  int32_t *label;
};

/* ---- preparation */

/* The arena is zero, as memory from the operating system is: clearing it would only cost time. */
static int map_arena(nitic_device *d) {
  size_t bytes = d->variant->arena_bytes < d->program->state_bytes ? d->program->state_bytes : d->variant->arena_bytes;
  d->bytes = (bytes + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  void *memory = mmap(NULL, d->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "no memory for the arena of %zu bytes: %s", d->bytes, strerror(errno));
#ifdef MADV_HUGEPAGE
  madvise(memory, d->bytes, MADV_HUGEPAGE);
#endif
  d->arena = memory;
  d->input = d->arena + nitic_tensor_of(d->program, NITIC_INPUT, NULL)->offset;
  d->label = (void *)(d->arena + nitic_tensor_of(d->program, NITIC_LABEL, NULL)->offset);
  return NITIC_OK;
}

static size_t count_buffers(const nitic_function *function) {
  size_t count = 0;
  for (uint32_t i = 0; i < function->call_count; i++)
    count += function->calls[i].buffer_count;
  return count;
}

static void **bind(nitic_device *d, const nitic_function *function, bound *b, void **next) {
  *b = (bound){function->calls, function->call_count, next};
  for (uint32_t i = 0; i < function->call_count; i++)
    for (uint32_t j = 0; j < function->calls[i].buffer_count; j++)
      *next++ = d->arena + function->calls[i].buffers[j];
  return next;
}

static int bind_functions(nitic_device *d) {
  size_t count = 0;
  for (int kind = 0; kind < NITIC_KINDS; kind++)
    count += count_buffers(&d->variant->functions[kind]);
  d->addresses = calloc(count + 1, sizeof *d->addresses);
  if (!d->addresses)
    return nitic_fail(NITIC_RUNTIME, "no memory for %zu buffer addresses", count);
  void **next = d->addresses;
  for (int kind = 0; kind < NITIC_KINDS; kind++)
    next = bind(d, &d->variant->functions[kind], &d->functions[kind], next);
  return NITIC_OK;
}

static int set_up(nitic_device *d, int threads, const char *variant) {
  int status = nitic_variant_choose(d->program, variant, &d->variant);
  if (status == NITIC_OK)
    status = map_arena(d);
  if (status == NITIC_OK)
    status = bind_functions(d);
  return status == NITIC_OK ? nitic_pool_create(threads ? threads : nitic_cores(), &d->pool) : status;
}

int nitic_device_create(const nitic_program *program, int threads, const char *variant, nitic_device **device) {
  nitic_device *d = *device = calloc(1, sizeof *d);
  if (!d)
    return nitic_fail(NITIC_RUNTIME, "no memory for a session");
  d->program = program;
  return set_up(d, threads, variant);
}

void nitic_device_destroy(nitic_device *d) {
  if (!d)
    return;
  nitic_pool_destroy(d->pool);
  if (d->arena)
    munmap(d->arena, d->bytes);
  free(d->addresses);
  free(d);
}

/* ---- a run */

typedef struct {
  nitic_pool *pool;
  const bound *function;
  int threads;
  _Atomic int32_t failed_call; /* index + 1 of a call that failed, 0 = none */
} run_state;

/* Every thread makes every call, with its share of the units; a barrier stands between two phases. After a failure the
 * rest still runs: a thread that stopped early would leave the others waiting in a barrier. */
static void run_calls(void *argument, int thread) {
  run_state *run = argument;
  void **buffers = run->function->buffers;
  for (uint32_t i = 0; i < run->function->call_count; i++) {
    const nitic_call *call = &run->function->calls[i];
    if (call->starts_phase)
      nitic_pool_barrier(run->pool);
    int64_t units = call->units;
    nitic_ctx ctx = {thread, (int32_t)(units * thread / run->threads), (int32_t)(units * (thread + 1) / run->threads)};
    if (call->kernel(buffers, &ctx) != 0)
      atomic_store(&run->failed_call, (int32_t)i + 1);
    buffers += call->buffer_count;
  }
}

int nitic_device_run(nitic_device *d, nitic_kind kind) {
  const bound *function = &d->functions[kind];
  run_state run = {.pool = d->pool, .function = function, .threads = nitic_pool_threads(d->pool)};
  int status = nitic_pool_run(d->pool, run_calls, &run);
  if (status != NITIC_OK)
    return status;
  int32_t failed = atomic_load(&run.failed_call);
  if (failed == 0)
    return NITIC_OK;
  return nitic_fail(NITIC_RUNTIME, "kernel %s (call %d) failed", function->calls[failed - 1].name, failed - 1);
}

/* ---- the host's memory is the device's, and a run is finished when it returns */

const nitic_variant *nitic_device_variant(const nitic_device *d) { return d->variant; }
int nitic_device_threads(const nitic_device *d) { return nitic_pool_threads(d->pool); }
uint8_t *nitic_device_memory(nitic_device *d) { return d->arena; }
void nitic_device_clear(nitic_device *d) { memset(d->arena, 0, d->bytes); }

const char *nitic_device_name(const nitic_device *d) {
  (void)d;
  return NULL;
}

void nitic_device_batch(nitic_device *d, uint8_t **input, int32_t **label) {
  *input = d->input;
  *label = d->label;
}

int nitic_device_depth(const nitic_device *d) {
  (void)d;
  return 1;
}

int nitic_device_open(nitic_device *d) {
  (void)d;
  return NITIC_OK;
}

int nitic_device_keep(nitic_device *d, const nitic_samples *samples, int32_t *kept) {
  (void)d;
  (void)samples;
  *kept = 0;
  return NITIC_OK;
}

nitic_pick *nitic_device_pick(nitic_device *d, int32_t kept) {
  (void)d;
  (void)kept;
  return NULL;
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
