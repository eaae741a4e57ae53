/* graph_cuda.h: a function of a program as a graph of launches, which the GPU runs without the host. */
#ifndef NITIC_GRAPH_CUDA_H
#define NITIC_GRAPH_CUDA_H

#include "driver_cuda.h"
#include "nitic.h"

typedef struct {
  const nitic_driver *driver;
  cu_handle context, module;
  cu_address arena;
} nitic_gpu_place;

/* Calls of one phase run side by side, as they may on the threads of a CPU, and after all of the phase before. */
int nitic_graph_build(const nitic_gpu_place *place, const nitic_variant *variant, nitic_kind kind,
                      cu_handle *executable);

#endif
