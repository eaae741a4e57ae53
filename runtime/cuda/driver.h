/* cuda/driver.h: the part of NVIDIA's driver interface that cuda/device.c needs, declared by hand: neither headers nor
 * libraries of CUDA are needed to build, and a binary starts where there is no driver. */
#ifndef NITIC_CUDA_DRIVER_H
#define NITIC_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef void *cu_handle;               /* a context, module, function, stream, event, graph or node of one */
typedef unsigned long long cu_address; /* of the GPU's memory */

typedef struct {
  cu_handle function;
  unsigned blocks[3], threads[3], shared;
  void **arguments, **extra;
  cu_handle kernel, context;
} cu_kernel_node; /* CUDA_KERNEL_NODE_PARAMS_v2 */

typedef struct {
  cu_address to;
  size_t pitch;
  unsigned value, element_bytes;
  size_t width, height;
} cu_memset_node; /* CUDA_MEMSET_NODE_PARAMS */

enum {
  CU_OUT_OF_MEMORY = 2,
  CU_NO_DEVICE = 100,
  CU_CAPABILITY_MAJOR = 75, /* of a device */
  CU_CAPABILITY_MINOR = 76,
  CU_MOST_SHARED = 8,  /* of a function: bytes of dynamic shared memory */
  CU_NON_BLOCKING = 1, /* it does not wait for the default stream */
  CU_EVENT_NO_TIMING = 2
};

/* member of nitic_driver, symbol, parameters; each gives a CUresult, 0 for success */
#define NITIC_DRIVER_FUNCTIONS(F)                                                                                      \
  F(init, cuInit, (unsigned flags))                                                                                    \
  F(version, cuDriverGetVersion, (int *version))                                                                       \
  F(error_string, cuGetErrorString, (int error, const char **text))                                                    \
  F(device_count, cuDeviceGetCount, (int *count))                                                                      \
  F(device_get, cuDeviceGet, (int *device, int ordinal))                                                               \
  F(device_name, cuDeviceGetName, (char *name, int length, int device))                                                \
  F(device_attribute, cuDeviceGetAttribute, (int *value, int attribute, int device))                                   \
  F(context_retain, cuDevicePrimaryCtxRetain, (cu_handle * context, int device))                                       \
  F(context_release, cuDevicePrimaryCtxRelease_v2, (int device))                                                       \
  F(context_set, cuCtxSetCurrent, (cu_handle context))                                                                 \
  F(memory_info, cuMemGetInfo_v2, (size_t *free, size_t *total))                                                       \
  F(allocate, cuMemAlloc_v2, (cu_address * address, size_t bytes))                                                     \
  F(release, cuMemFree_v2, (cu_address address))                                                                       \
  F(host_allocate, cuMemAllocHost_v2, (void **memory, size_t bytes))                                                   \
  F(host_release, cuMemFreeHost, (void *memory))                                                                       \
  F(upload, cuMemcpyHtoDAsync_v2, (cu_address to, const void *from, size_t bytes, cu_handle stream))                   \
  F(download, cuMemcpyDtoHAsync_v2, (void *to, cu_address from, size_t bytes, cu_handle stream))                       \
  F(copy, cuMemcpyDtoDAsync_v2, (cu_address to, cu_address from, size_t bytes, cu_handle stream))                      \
  F(clear, cuMemsetD8Async, (cu_address to, unsigned char value, size_t bytes, cu_handle stream))                      \
  F(stream_create, cuStreamCreate, (cu_handle * stream, unsigned flags))                                               \
  F(stream_destroy, cuStreamDestroy_v2, (cu_handle stream))                                                            \
  F(stream_wait, cuStreamWaitEvent, (cu_handle stream, cu_handle event, unsigned flags))                               \
  F(stream_finish, cuStreamSynchronize, (cu_handle stream))                                                            \
  F(event_create, cuEventCreate, (cu_handle * event, unsigned flags))                                                  \
  F(event_destroy, cuEventDestroy_v2, (cu_handle event))                                                               \
  F(event_record, cuEventRecord, (cu_handle event, cu_handle stream))                                                  \
  F(event_finish, cuEventSynchronize, (cu_handle event))                                                               \
  F(module_load, cuModuleLoadData, (cu_handle * module, const void *image))                                            \
  F(module_unload, cuModuleUnload, (cu_handle module))                                                                 \
  F(module_function, cuModuleGetFunction, (cu_handle * function, cu_handle module, const char *name))                  \
  F(launch, cuLaunchKernel,                                                                                            \
    (cu_handle function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x,                  \
     unsigned threads_y, unsigned threads_z, unsigned shared, cu_handle stream, void **arguments, void **extra))       \
  F(function_set, cuFuncSetAttribute, (cu_handle function, int attribute, int value))                                  \
  F(graph_create, cuGraphCreate, (cu_handle * graph, unsigned flags))                                                  \
  F(graph_destroy, cuGraphDestroy, (cu_handle graph))                                                                  \
  F(graph_kernel, cuGraphAddKernelNode_v2,                                                                             \
    (cu_handle * node, cu_handle graph, const cu_handle *after, size_t count, const cu_kernel_node *parameters))       \
  F(graph_memset, cuGraphAddMemsetNode,                                                                                \
    (cu_handle * node, cu_handle graph, const cu_handle *after, size_t count, const cu_memset_node *parameters,        \
     cu_handle context))                                                                                               \
  F(graph_empty, cuGraphAddEmptyNode, (cu_handle * node, cu_handle graph, const cu_handle *after, size_t count))       \
  F(graph_instantiate, cuGraphInstantiateWithFlags,                                                                    \
    (cu_handle * executable, cu_handle graph, unsigned long long flags))                                               \
  F(executable_launch, cuGraphLaunch, (cu_handle executable, cu_handle stream))                                        \
  F(executable_destroy, cuGraphExecDestroy, (cu_handle executable))

#define NITIC_DRIVER_MEMBER(member, symbol, parameters) int(*member) parameters;
typedef struct {
  NITIC_DRIVER_FUNCTIONS(NITIC_DRIVER_MEMBER)
} nitic_driver;
#undef NITIC_DRIVER_MEMBER

/* Loads the driver and starts it. */
int nitic_driver_open(nitic_driver *driver);
/* NITIC_OK where `result` is success, else an error that says what the GPU could not do. */
int nitic_driver_check(const nitic_driver *driver, int result, const char *what);

#endif
