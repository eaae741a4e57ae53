/* cuda/graph.h: a function of a program as a graph of launches, which the GPU runs without the host. */
#ifndef NITIC_CUDA_GRAPH_H
#define NITIC_CUDA_GRAPH_H

#include "cuda/driver.h"
#include "nitic.h"

/* What launches on a GPU need: its context, the kernels, and the arena that buffers lie in. */
typedef struct {
  const nitic_driver *driver;
  cu_handle context, module;
  cu_address arena;
} nitic_gpu_handles;

/* Calls of one phase may run side by side, and start after all calls of the previous phase, as on a CPU. */
int nitic_graph_build(const nitic_gpu_handles *handles, const nitic_variant *variant, nitic_kind kind,
                      cu_handle *executable);

#endif
