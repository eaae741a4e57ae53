/* store_cuda.h: data sets in the GPU's memory, and batches gathered from them there. */
#ifndef NITIC_STORE_CUDA_H
#define NITIC_STORE_CUDA_H

#include "device.h"
#include "graph_cuda.h"

enum { NITIC_MOST_KEPT = 2 }; /* training and test set */

typedef struct {
  const nitic_gpu_place *place;
  const nitic_launch *launch;
  cu_handle kernel, stream;
  int32_t batch;
  size_t sample_bytes, channels;
  cu_address kept[NITIC_MOST_KEPT]; /* the pixel outside of a sample, and at a multiple of 64 the samples */
  int32_t count;
} nitic_store;

/* All of it happens on `stream`. */
int nitic_store_open(nitic_store *store, const nitic_gpu_place *place, const nitic_program *program, cu_handle stream);
void nitic_store_close(nitic_store *store);
/* nitic_device_keep by way of `pinned`, memory of the host for a batch of samples. */
int nitic_store_keep(nitic_store *store, const nitic_samples *samples, uint8_t *pinned, int32_t *kept);
/* Starts to write a batch. */
int nitic_store_gather(const nitic_store *store, int32_t kept, cu_address batch, cu_address picks);

#endif
