/* cuda/store.h: data sets in the GPU's memory, and batches gathered from them there. */
#ifndef NITIC_CUDA_STORE_H
#define NITIC_CUDA_STORE_H

#include "core/device.h"
#include "cuda/graph.h"

enum { NITIC_MOST_KEPT = 2 }; /* training and test set */

typedef struct {
  const nitic_gpu_handles *handles;
  const nitic_launch *launch;
  cu_handle kernel, stream;
  int32_t batch;
  size_t sample_bytes, channels;
  cu_address
      kept[NITIC_MOST_KEPT]; /* each: the pixel outside of a sample, then the samples, from a multiple of 64 on */
  int32_t count;
} nitic_store;

/* All copies and kernels of the store run on `stream`. */
int nitic_store_open(nitic_store *store, const nitic_gpu_handles *handles, const nitic_program *program,
                     cu_handle stream);
void nitic_store_close(nitic_store *store);
/* nitic_device_keep. `pinned` is memory of the host for a batch of samples, through which they are copied. */
int nitic_store_keep(nitic_store *store, const nitic_samples *samples, uint8_t *pinned, int32_t *kept);
/* Starts to write a batch. */
int nitic_store_gather(const nitic_store *store, int32_t kept, cu_address batch, cu_address picks);

#endif
