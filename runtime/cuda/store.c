/* cuda/store.c: see store_cuda.h. */
#include "cuda/store.h"

#include <string.h>

#include "core/internal.h"

static uint64_t pad_bytes(const nitic_store *store) { return (store->channels + 63) / 64 * 64; }

int nitic_store_open(nitic_store *store, const nitic_gpu_handles *handles, const nitic_program *program,
                     cu_handle stream) {
  const nitic_tensor *input = nitic_tensor_of(program, NITIC_INPUT, NULL);
  *store = (nitic_store){.handles = handles,
                         .launch = &program->variants->gpu->gather,
                         .stream = stream,
                         .batch = program->batch,
                         .sample_bytes = (size_t)(nitic_elements(input) / program->batch),
                         .channels = input->rank == 4 ? (size_t)input->shape[3] : 1};
  int result = handles->driver->module_function(&store->kernel, handles->module, store->launch->kernel);
  return nitic_driver_check(handles->driver, result, "find a kernel");
}

void nitic_store_close(nitic_store *store) {
  for (int32_t i = 0; i < store->count; i++)
    store->handles->driver->release(store->kept[i]);
}

/* ---- keeping */

/* A quarter of the free memory is left for the driver and for other processes. */
static int allocate(nitic_store *store, int64_t count, bool *has_room) {
  const nitic_driver *cu = store->handles->driver;
  size_t left = 0, total = 0, bytes = pad_bytes(store) + (size_t)count * store->sample_bytes;
  *has_room = false;
  if (store->count == NITIC_MOST_KEPT || count > INT32_MAX)
    return NITIC_OK;
  int result = cu->memory_info(&left, &total);
  if (result == 0)
    result = bytes > left / 4 * 3 ? CU_OUT_OF_MEMORY : cu->allocate(&store->kept[store->count], bytes);
  *has_room = result == 0;
  store->count += result == 0;
  return result == CU_OUT_OF_MEMORY ? NITIC_OK : nitic_driver_check(cu, result, "find room for data");
}

/* The caller may change the host's memory when this returns. */
static int upload(const nitic_store *store, cu_address to, const uint8_t *from, size_t bytes) {
  const nitic_driver *cu = store->handles->driver;
  int result = cu->upload(to, from, bytes, store->stream);
  if (result == 0)
    result = cu->stream_finish(store->stream);
  return nitic_driver_check(cu, result, "take data");
}

static int upload_batch(const nitic_store *store, const nitic_samples *samples, int64_t first, uint8_t *pinned) {
  cu_address to = store->kept[store->count - 1] + pad_bytes(store) + (uint64_t)first * store->sample_bytes;
  int64_t left = samples->count - first, rows = left < store->batch ? left : store->batch;
  for (int64_t row = 0; row < rows; row++)
    samples->read(samples->data, first + row, pinned + (size_t)row * store->sample_bytes);
  return upload(store, to, pinned, (size_t)rows * store->sample_bytes);
}

int nitic_store_keep(nitic_store *store, const nitic_samples *samples, uint8_t *pinned, int32_t *kept) {
  bool has_room = false;
  *kept = 0;
  int status = allocate(store, samples->count, &has_room);
  if (status != NITIC_OK || !has_room)
    return status;
  if (samples->pad)
    status = upload(store, store->kept[store->count - 1], samples->pad, store->channels);
  for (int64_t first = 0; first < samples->count && status == NITIC_OK; first += store->batch)
    status = upload_batch(store, samples, first, pinned);
  *kept = store->count;
  return status;
}

/* ---- gathering */

int nitic_store_gather(const nitic_store *store, int32_t kept, cu_address batch, cu_address picks) {
  const nitic_driver *cu = store->handles->driver;
  const nitic_launch *l = store->launch;
  cu_address pad = store->kept[kept - 1], samples = pad + pad_bytes(store);
  int32_t units = store->batch * (int32_t)store->sample_bytes;
  void *arguments[] = {&batch, &samples, &pad, &picks, &units};
  int result = cu->launch(store->kernel, l->blocks, 1, 1, l->threads, 1, 1, l->shared, store->stream, arguments, NULL);
  return nitic_driver_check(cu, result, "gather a batch");
}
