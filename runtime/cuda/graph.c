/* cuda/graph.c: see graph_cuda.h. */
#include "cuda/graph.h"

#include <stdlib.h>

#include "core/internal.h"

typedef struct {
  const nitic_gpu_handles *handles;
  const nitic_function *function;
  cu_handle graph;
  cu_handle join;   /* the node that comes after all of the previous phase */
  cu_handle *phase; /* the nodes of the current phase */
  size_t phase_count;
  cu_handle *after; /* the nodes that a kernel comes after */
  void **arguments;
  cu_address *buffers;
} builder;

static int add_zeros(const builder *b, cu_handle *node, const cu_handle *after, uint64_t offset, uint64_t bytes) {
  const nitic_driver *driver = b->handles->driver;
  const cu_memset_node zeros = {.to = b->handles->arena + offset, .element_bytes = 1, .width = bytes, .height = 1};
  int result = driver->graph_memset(node, b->graph, after, after != NULL, &zeros, b->handles->context);
  return nitic_driver_check(driver, result, "build a graph");
}

static int find_function(const builder *b, const nitic_launch *launch, cu_handle *function) {
  const nitic_driver *driver = b->handles->driver;
  int result = driver->module_function(function, b->handles->module, launch->kernel);
  if (result == 0 && launch->shared) /* more than 48 KB, static shared memory included, must be asked for */
    result = driver->function_set(*function, CU_MOST_SHARED, (int)launch->shared);
  return nitic_driver_check(driver, result, "find a kernel");
}

/* The driver copies the arguments. */
static int add_kernel(builder *b, const nitic_call *call, const nitic_launch *launch, size_t after_count) {
  cu_kernel_node node = {.blocks = {launch->blocks, 1, 1}, .threads = {launch->threads, 1, 1}};
  int status = find_function(b, launch, &node.function);
  if (status != NITIC_OK)
    return status;
  int32_t units = call->units;
  for (uint32_t i = 0; i < call->buffer_count; i++) {
    b->buffers[i] = b->handles->arena + call->buffers[i];
    b->arguments[i] = &b->buffers[i];
  }
  b->arguments[call->buffer_count] = &units;
  node.shared = launch->shared;
  node.arguments = b->arguments;
  cu_handle *made = &b->phase[b->phase_count++];
  int result = b->handles->driver->graph_kernel(made, b->graph, b->after, after_count, &node);
  return nitic_driver_check(b->handles->driver, result, "build a graph");
}

static int add_call(builder *b, const nitic_call *call, const nitic_launch *launch) {
  int status = NITIC_OK;
  b->after[0] = launch->follows && b->phase_count > 0 ? b->phase[b->phase_count - 1] : b->join;
  for (uint32_t i = 0; i < launch->zeroed_count && status == NITIC_OK; i++)
    status = add_zeros(b, &b->after[i + 1], &b->after[0], launch->zeroed[2 * i], launch->zeroed[2 * i + 1]);
  return status == NITIC_OK ? add_kernel(b, call, launch, launch->zeroed_count + (size_t)1) : status;
}

static int end_phase(builder *b) {
  int result = 0;
  if (b->phase_count > 1)
    result = b->handles->driver->graph_empty(&b->join, b->graph, b->phase, b->phase_count);
  else if (b->phase_count == 1)
    b->join = b->phase[0];
  b->phase_count = 0;
  return nitic_driver_check(b->handles->driver, result, "build a graph");
}

static int add_calls(builder *b) {
  int status = NITIC_OK;
  for (uint32_t i = 0; i < b->function->call_count && status == NITIC_OK; i++) {
    if (b->function->calls[i].starts_phase)
      status = end_phase(b);
    if (status == NITIC_OK)
      status = add_call(b, &b->function->calls[i], &b->function->launches[i]);
  }
  return status;
}

static int make_room(builder *b) {
  size_t buffers = 0, zeroed = 0;
  for (uint32_t i = 0; i < b->function->call_count; i++) {
    const nitic_call *call = &b->function->calls[i];
    const nitic_launch *launch = &b->function->launches[i];
    buffers = call->buffer_count > buffers ? call->buffer_count : buffers;
    zeroed = launch->zeroed_count > zeroed ? launch->zeroed_count : zeroed;
  }
  b->phase = calloc(b->function->call_count + (size_t)1, sizeof *b->phase);
  b->after = calloc(zeroed + 1, sizeof *b->after);
  b->arguments = calloc(buffers + 1, sizeof *b->arguments);
  b->buffers = calloc(buffers + 1, sizeof *b->buffers);
  if (!b->phase || !b->after || !b->arguments || !b->buffers)
    return nitic_fail(NITIC_RUNTIME, "no memory for a graph of %u launches", b->function->call_count);
  return NITIC_OK;
}

static int fill(builder *b, const nitic_gpu *gpu, cu_handle *executable) {
  const nitic_driver *driver = b->handles->driver;
  int status = nitic_driver_check(driver, driver->graph_create(&b->graph, 0), "build a graph");
  if (status == NITIC_OK)
    status = add_zeros(b, &b->join, NULL, gpu->ranges, gpu->range_bytes);
  if (status == NITIC_OK)
    status = add_calls(b);
  if (status == NITIC_OK)
    status = nitic_driver_check(driver, driver->graph_instantiate(executable, b->graph, 0), "prepare a graph");
  if (b->graph)
    driver->graph_destroy(b->graph);
  return status;
}

int nitic_graph_build(const nitic_gpu_handles *handles, const nitic_variant *variant, nitic_kind kind,
                      cu_handle *executable) {
  builder b = {.handles = handles, .function = &variant->functions[kind]};
  int status = make_room(&b);
  if (status == NITIC_OK)
    status = fill(&b, variant->gpu, executable);
  free(b.phase);
  free(b.after);
  free(b.arguments);
  free(b.buffers);
  return status;
}
