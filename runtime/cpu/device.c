/* cpu/device.c: the device that is threads of this machine. A training step runs here and in the kernels, without any
 * floating point: this file compiles with -mgeneral-regs-only. */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "core/pool.h"
#include "cpu/variant.h"

enum { SLACK = 64 }; /* kernels may read up to 64 bytes past their last buffer */

/* A function of the chosen variant, and the addresses of the buffers of its calls, one call after another. */
typedef struct {
  const nitic_call *calls;
  uint32_t call_count;
  void **buffers;
} bound;

/* Where nobody said how many threads: whether they help is measured, since other work may want the processors. */
enum { TRIALS = 6, TRIAL_EVERY = 2000, LONG_RUN = 20000000 /* ns: threads that share so much work always help */ };

typedef struct {
  int64_t least[2]; /* ns, by whether one thread did all */
  int32_t runs;
  bool alone;
} trial;

struct nitic_device {
  const nitic_program *program;
  const nitic_variant *variant;
  nitic_pool *pool;
  bool measures;
  trial trials[NITIC_KINDS];
  uint8_t *arena;
  size_t bytes;
  void **addresses; /* storage of all bound.buffers */
  bound functions[NITIC_KINDS];
  uint8_t *input;
  int32_t *label;
};

/* ---- preparation */

static int map_arena(nitic_device *d) {
  uint64_t state = d->program->state_bytes, bytes = d->variant->arena_bytes < state ? state : d->variant->arena_bytes;
  d->bytes = bytes <= SIZE_MAX - SLACK ? (size_t)bytes + SLACK : 0;
  d->arena = d->bytes ? nitic_memory(d->bytes) : NULL;
  if (!d->arena)
    return nitic_fail(NITIC_RUNTIME, "no memory for the arena of %llu bytes", (unsigned long long)bytes + SLACK);
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
  d->addresses = (void **)calloc(count + 1, sizeof *d->addresses);
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
  if (status == NITIC_OK)
    status = nitic_pool_create(threads ? threads : nitic_cores(), &d->pool);
  d->measures = status == NITIC_OK && !threads && nitic_pool_threads(d->pool) > 1;
  return status;
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
    nitic_memory_free(d->arena, d->bytes);
  free((void *)d->addresses);
  free(d);
}

/* ---- a run */

typedef struct {
  nitic_pool *pool;
  const bound *function;
  int threads;
  int32_t failed_calls[NITIC_MAX_THREADS]; /* by thread: index + 1 of a call that failed, 0 = none */
} run_state;

/* Where the share of a thread begins, and that of the one before it ends. */
static int32_t edge(const nitic_call *call, int thread, int threads) {
  int64_t grains = ((int64_t)call->units + call->grain - 1) / call->grain;
  int64_t unit = grains * thread / threads * call->grain;
  return unit < call->units ? (int32_t)unit : call->units;
}

static void run_share(run_state *run, uint32_t i, void **buffers, int thread) {
  const nitic_call *call = &run->function->calls[i];
  nitic_ctx ctx = {thread, edge(call, thread, run->threads), edge(call, thread + 1, run->threads)};
  if (call->kernel(buffers, &ctx) != 0)
    run->failed_calls[thread] = (int32_t)i + 1;
}

/* Every thread makes every call, with its share of the units; a barrier stands between two phases. After a failure the
 * rest still runs: a thread that stopped early would leave the others waiting in a barrier. */
static void run_calls(void *argument, int thread) {
  run_state *run = argument;
  void **buffers = run->function->buffers;
  for (uint32_t i = 0; i < run->function->call_count; i++) {
    if (run->function->calls[i].starts_phase)
      nitic_pool_barrier(run->pool);
    run_share(run, i, buffers, thread);
    buffers += run->function->calls[i].buffer_count;
  }
}

/* The shares of all threads, by one: each has a slot of every range, which must not keep what another run left in it.
 */
static void run_alone(run_state *run) {
  void **buffers = run->function->buffers;
  for (uint32_t i = 0; i < run->function->call_count; i++) {
    for (int thread = 0; thread < run->threads; thread++)
      run_share(run, i, buffers, thread);
    buffers += run->function->calls[i].buffer_count;
  }
}

static int run_as(nitic_device *d, run_state *run, bool alone) {
  if (!alone)
    return nitic_pool_run(d->pool, run_calls, run);
  run_alone(run);
  return NITIC_OK;
}

/* A trial is a few runs of each kind in turns; the faster kind makes the runs up to the next trial. */
static int run_measured(nitic_device *d, run_state *run, trial *t) {
  int32_t n = t->runs++ % TRIAL_EVERY;
  if (n >= TRIALS)
    return run_as(d, run, t->alone);
  bool alone = n % 2 && t->least[0] < LONG_RUN;
  int64_t start = nitic_nanoseconds();
  int status = run_as(d, run, alone);
  int64_t taken = nitic_nanoseconds() - start;
  if (n < 2 || taken < t->least[alone])
    t->least[alone] = taken;
  t->alone = t->least[1] < t->least[0] && t->least[0] < LONG_RUN;
  return status;
}

int nitic_device_run(nitic_device *d, nitic_kind kind) {
  const bound *function = &d->functions[kind];
  run_state run = {.pool = d->pool, .function = function, .threads = nitic_pool_threads(d->pool)};
  int status = d->measures ? run_measured(d, &run, &d->trials[kind]) : run_as(d, &run, false);
  if (status != NITIC_OK)
    return status;
  for (int thread = 0; thread < run.threads; thread++) {
    int32_t failed = run.failed_calls[thread];
    if (failed != 0)
      return nitic_fail(NITIC_RUNTIME, "kernel %s (call %d) failed", function->calls[failed - 1].name, failed - 1);
  }
  return NITIC_OK;
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
