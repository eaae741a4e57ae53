/* cuda/device.c: the device that is an NVIDIA GPU. All tensors lie in one arena of its memory. A run is one graph
 * (graph.h).
 *
 * Batches have slots in the host's pinned memory. While a graph runs, the next batch is made and copied to the GPU on a
 * stream of its own, and only a copy within the GPU stands before its graph. Metrics and outputs come back into the
 * slot, and are read when the slot's turn comes again: so the host never waits for the step that it has just started.
 * Where the GPU keeps the data set (store.h), not the samples of a batch are copied to it but their picks, and a kernel
 * gathers the samples, on that other stream too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/internal.h"
#include "cuda/store.h"

enum { SLOTS = 3, SLACK = 64, LEAST_CAPABILITY = 80, NAME_LENGTH = 128 };

/* A stretch of the arena. */
typedef struct {
  uint64_t begin, bytes;
} region;

typedef struct {
  uint8_t *memory;    /* pinned: what goes up, then what comes down */
  cu_address staging; /* of the GPU: a copy of what goes up */
  cu_handle uploaded, done;
} slot;

struct nitic_device {
  const nitic_program *program;
  const nitic_variant *variant;
  nitic_driver driver;
  int ordinal, capability;
  char name[NAME_LENGTH];
  nitic_gpu_handles handles;
  cu_address memory; /* the arena, and behind it the staging of the slots */
  cu_handle computing, copying;
  cu_handle graphs[NITIC_KINDS];
  slot slots[SLOTS];
  nitic_store store;
  int32_t picked; /* the copy of a data set that the next run picks from; 0: its samples come from the host */
  uint64_t started, finished; /* runs */
  region up, down;            /* input, label and hyper; metrics and outputs */
  size_t picks, received;     /* offsets in a slot, behind `up`: of the picks, and of what comes down */
  uint8_t *host;
  size_t host_bytes, arena_bytes;
  pid_t process;                    /* that has the GPU: fork() does not copy what the driver knows */
  bool host_is_newer, gpu_is_newer; /* of the state */
};

/* ---- the program */

static region region_of(const nitic_program *program, nitic_role first, nitic_role last) {
  uint64_t begin = UINT64_MAX, end = 0;
  for (uint32_t i = 0; i < program->tensor_count; i++) {
    const nitic_tensor *tensor = &program->tensors[i];
    if (tensor->role < first || tensor->role > last)
      continue;
    begin = tensor->offset < begin ? tensor->offset : begin;
    end = tensor->offset + tensor->bytes > end ? tensor->offset + tensor->bytes : end;
  }
  return (region){begin, end - begin};
}

static uint64_t up_to_64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

static int map_host(nitic_device *d) {
  for (uint32_t i = 0; i < d->program->tensor_count; i++) {
    size_t end = d->program->tensors[i].offset + d->program->tensors[i].bytes;
    d->host_bytes = end > d->host_bytes ? end : d->host_bytes;
  }
  void *memory = mmap(NULL, d->host_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "no memory for the tensors, %zu bytes", d->host_bytes);
  d->host = memory;
  return NITIC_OK;
}

bool nitic_variant_supported(const nitic_variant *variant) { return variant->gpu != NULL; }

int nitic_device_create(const nitic_program *program, int threads, const char *variant, nitic_device **device) {
  (void)threads;
  if (variant && *variant && strcmp(variant, program->variants[0].name) != 0)
    return nitic_fail(NITIC_USAGE, "there is no variant '%s' in this program: it has %s", variant,
                      program->variants[0].name);
  nitic_device *d = *device = calloc(1, sizeof *d);
  if (!d)
    return nitic_fail(NITIC_RUNTIME, "no memory for a session");
  d->program = program;
  d->variant = program->variants;
  d->up = region_of(program, NITIC_INPUT, NITIC_HYPER);
  d->down = region_of(program, NITIC_METRIC, NITIC_OUTPUT);
  d->picks = up_to_64(d->up.bytes);
  d->received = d->picks + up_to_64((uint64_t)program->batch * sizeof(nitic_pick));
  d->arena_bytes = up_to_64(d->variant->arena_bytes + SLACK);
  strcpy(d->name, "GPU");
  return map_host(d);
}

/* ---- the GPU */

static int choose_gpu(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  int major = 0, minor = 0, result = cu->device_get(&d->ordinal, 0);
  if (result == 0)
    result = cu->device_name(d->name, NAME_LENGTH, d->ordinal);
  if (result == 0)
    result = cu->device_attribute(&major, CU_CAPABILITY_MAJOR, d->ordinal);
  if (result == 0)
    result = cu->device_attribute(&minor, CU_CAPABILITY_MINOR, d->ordinal);
  d->capability = 10 * major + minor;
  if (result == 0 && d->capability < LEAST_CAPABILITY)
    return nitic_fail(NITIC_UNSUPPORTED,
                      "the GPU %s is too old: its compute capability is %d.%d, at least %d.%d is needed", d->name,
                      major, minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
  return nitic_driver_check(cu, result, "tell what it is");
}

/* The driver wants to be told the context in every thread, and a session may go from one thread to another. */
static int enter(const nitic_device *d) { return d->driver.context_set(d->handles.context); }

static int begin(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  d->process = getpid();
  int result = cu->context_retain(&d->handles.context, d->ordinal);
  if (result == 0)
    result = enter(d);
  if (result == 0)
    result = cu->stream_create(&d->computing, CU_NON_BLOCKING);
  if (result == 0)
    result = cu->stream_create(&d->copying, CU_NON_BLOCKING);
  return nitic_driver_check(cu, result, "begin");
}

static int allocate(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  size_t staging = d->received, needed = d->arena_bytes + SLOTS * staging, left = 0, total = 0;
  int result = cu->memory_info(&left, &total);
  if (result == 0)
    result = needed > left ? CU_OUT_OF_MEMORY : cu->allocate(&d->memory, needed);
  if (result == CU_OUT_OF_MEMORY)
    return nitic_fail(NITIC_RUNTIME, "the program needs %zu bytes of memory on the GPU %s, where %zu of %zu are free",
                      needed, d->name, left, total);
  d->handles.arena = d->memory;
  for (int i = 0; i < SLOTS && result == 0; i++) {
    slot *s = &d->slots[i];
    s->staging = d->memory + d->arena_bytes + (size_t)i * staging;
    result = cu->host_allocate((void **)&s->memory, staging + d->down.bytes);
    if (result == 0)
      result = cu->event_create(&s->uploaded, CU_EVENT_NO_TIMING);
    if (result == 0)
      result = cu->event_create(&s->done, CU_EVENT_NO_TIMING);
  }
  if (result == 0)
    result = cu->clear(d->memory, 0, needed, d->computing);
  return nitic_driver_check(cu, result, "set up its memory");
}

/* The driver takes the machine code for this GPU from the image, or compiles the PTX in it. */
static int load_image(nitic_device *d) {
  int version = 0;
  d->driver.version(&version);
  char what[128];
  snprintf(what, sizeof what, "load its kernels (compute capability %d.%d, driver of CUDA %d.%d)", d->capability / 10,
           d->capability % 10, version / 1000, version % 1000 / 10);
  return nitic_driver_check(&d->driver, d->driver.module_load(&d->handles.module, d->variant->gpu->image), what);
}

int nitic_device_open(nitic_device *d) {
  int status = nitic_driver_open(&d->driver);
  d->handles.driver = &d->driver;
  if (status == NITIC_OK)
    status = choose_gpu(d);
  if (status == NITIC_OK)
    status = begin(d);
  if (status == NITIC_OK)
    status = allocate(d);
  if (status == NITIC_OK)
    status = load_image(d);
  for (int kind = 0; kind < NITIC_KINDS && status == NITIC_OK; kind++)
    status = nitic_graph_build(&d->handles, d->variant, (nitic_kind)kind, &d->graphs[kind]);
  return status == NITIC_OK ? nitic_store_open(&d->store, &d->handles, d->program, d->copying) : status;
}

static void leave(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  enter(d);
  if (d->copying) /* after an error it may still read what is released here */
    cu->stream_finish(d->copying);
  if (d->computing)
    cu->stream_finish(d->computing);
  for (int kind = 0; kind < NITIC_KINDS; kind++)
    if (d->graphs[kind])
      cu->executable_destroy(d->graphs[kind]);
  for (int i = 0; i < SLOTS; i++) {
    if (d->slots[i].memory)
      cu->host_release(d->slots[i].memory);
    if (d->slots[i].uploaded)
      cu->event_destroy(d->slots[i].uploaded);
    if (d->slots[i].done)
      cu->event_destroy(d->slots[i].done);
  }
  nitic_store_close(&d->store);
  if (d->handles.module)
    cu->module_unload(d->handles.module);
  if (d->memory)
    cu->release(d->memory);
  if (d->copying)
    cu->stream_destroy(d->copying);
  if (d->computing)
    cu->stream_destroy(d->computing);
  cu->context_release(d->ordinal);
}

void nitic_device_destroy(nitic_device *d) {
  if (!d)
    return;
  if (d->handles.context && d->process == getpid())
    leave(d);
  if (d->host)
    munmap(d->host, d->host_bytes);
  free(d);
}

/* ---- runs */

static slot *next_slot(nitic_device *d) { return &d->slots[d->started % SLOTS]; }

static uint8_t *within(const nitic_device *d, const slot *s, const nitic_tensor *tensor) {
  return s->memory + (tensor->offset - d->up.begin);
}

void nitic_device_batch(nitic_device *d, uint8_t **input, int32_t **label) {
  const slot *s = next_slot(d);
  *input = NULL;
  *label = NULL;
  if (!s->memory)
    return;
  *input = within(d, s, nitic_tensor_of(d->program, NITIC_INPUT, NULL));
  *label = (void *)within(d, s, nitic_tensor_of(d->program, NITIC_LABEL, NULL));
}

/* With one less in flight, one slot is left for the next batch. */
int nitic_device_depth(const nitic_device *d) {
  (void)d;
  return SLOTS;
}

int nitic_device_keep(nitic_device *d, const nitic_samples *samples, int32_t *kept) {
  uint8_t *input;
  int32_t *label;
  nitic_device_batch(d, &input, &label);
  int status = nitic_driver_check(&d->driver, enter(d), "be reached");
  return status == NITIC_OK ? nitic_store_keep(&d->store, samples, input, kept) : status;
}

nitic_pick *nitic_device_pick(nitic_device *d, int32_t kept) {
  d->picked = kept;
  return (void *)(next_slot(d)->memory + d->picks);
}

static void take_hyper(const nitic_device *d, const slot *s) {
  for (uint32_t i = 0; i < d->program->tensor_count; i++) {
    const nitic_tensor *tensor = &d->program->tensors[i];
    if (tensor->role == NITIC_HYPER)
      memcpy(within(d, s, tensor), d->host + tensor->offset, tensor->bytes);
  }
}

/* The caller may change the host's memory when this returns, so the copy has to be finished. */
static int give_state(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  if (!d->host_is_newer)
    return NITIC_OK;
  int result = cu->upload(d->handles.arena, d->host, d->program->state_bytes, d->computing);
  if (result == 0)
    result = cu->stream_finish(d->computing);
  d->host_is_newer = result != 0;
  return nitic_driver_check(cu, result, "take the state");
}

/* Copies to the GPU what the run takes from the host. Samples come first in it: picks are copied instead of them. */
static int send(nitic_device *d, const slot *s) {
  const nitic_driver *cu = &d->driver;
  if (d->picked == 0)
    return nitic_driver_check(cu, cu->upload(s->staging, s->memory, d->up.bytes, d->copying), "take a batch");
  const nitic_tensor *input = nitic_tensor_of(d->program, NITIC_INPUT, NULL);
  size_t begin = input->offset + input->bytes - d->up.begin;
  int result = cu->upload(s->staging + begin, s->memory + begin, d->received - begin, d->copying);
  if (result != 0)
    return nitic_driver_check(cu, result, "take a batch");
  return nitic_store_gather(&d->store, d->picked, s->staging + (input->offset - d->up.begin), s->staging + d->picks);
}

static int launch(const nitic_device *d, const slot *s, nitic_kind kind) {
  const nitic_driver *cu = &d->driver;
  int result = cu->event_record(s->uploaded, d->copying);
  if (result == 0)
    result = cu->stream_wait(d->computing, s->uploaded, 0);
  if (result == 0)
    result = cu->copy(d->handles.arena + d->up.begin, s->staging, d->up.bytes, d->computing);
  if (result == 0)
    result = cu->executable_launch(d->graphs[kind], d->computing);
  if (result == 0)
    result = cu->download(s->memory + d->received, d->handles.arena + d->down.begin, d->down.bytes, d->computing);
  if (result == 0)
    result = cu->event_record(s->done, d->computing);
  return nitic_driver_check(cu, result, "start a step");
}

int nitic_device_run(nitic_device *d, nitic_kind kind) {
  const slot *s = next_slot(d);
  if (d->process != getpid())
    return nitic_fail(NITIC_USAGE,
                      "the session was made before fork(), and a GPU stays with the process that opened it: "
                      "make another session in the child");
  int status = nitic_driver_check(&d->driver, enter(d), "be reached");
  if (status == NITIC_OK)
    status = give_state(d);
  if (status != NITIC_OK)
    return status;
  take_hyper(d, s);
  status = send(d, s);
  if (status == NITIC_OK)
    status = launch(d, s, kind);
  if (status != NITIC_OK)
    return status;
  d->picked = 0;
  d->gpu_is_newer |= kind == NITIC_TRAIN_STEP || kind == NITIC_CALIBRATION;
  d->started++;
  return NITIC_OK;
}

int nitic_device_wait(nitic_device *d) {
  const slot *s = &d->slots[d->finished++ % SLOTS];
  int result = enter(d);
  if (result == 0)
    result = d->driver.event_finish(s->done);
  int status = nitic_driver_check(&d->driver, result, "finish a step");
  if (status == NITIC_OK)
    memcpy(d->host + d->down.begin, s->memory + d->received, d->down.bytes);
  return status;
}

/* ---- the state */

int nitic_device_read(nitic_device *d) {
  const nitic_driver *cu = &d->driver;
  if (!d->gpu_is_newer)
    return NITIC_OK;
  int result = enter(d);
  if (result == 0)
    result = cu->download(d->host, d->handles.arena, d->program->state_bytes, d->computing);
  if (result == 0)
    result = cu->stream_finish(d->computing);
  d->gpu_is_newer = result != 0;
  return nitic_driver_check(cu, result, "give the state");
}

void nitic_device_written(nitic_device *d) {
  d->host_is_newer = true;
  d->gpu_is_newer = false;
}

/* An error is not reported here: after one, the next call fails too and reports it. */
void nitic_device_clear(nitic_device *d) {
  memset(d->host, 0, d->host_bytes);
  if (d->memory && enter(d) == 0)
    d->driver.clear(d->memory, 0, d->arena_bytes, d->computing);
  nitic_device_written(d);
}

const nitic_variant *nitic_device_variant(const nitic_device *d) { return d->variant; }
const char *nitic_device_name(const nitic_device *d) { return d->name; }
uint8_t *nitic_device_memory(nitic_device *d) { return d->host; }

/* Threads of the host: one starts the work. */
int nitic_device_threads(const nitic_device *d) {
  (void)d;
  return 1;
}
