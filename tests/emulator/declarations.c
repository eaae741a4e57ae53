/* declarations.c: compiles where runtime/cuda/driver.h says of the driver what NVIDIA's header says. */
#include <cuda.h>
#include <stddef.h>

#include "cuda/driver.h"

#define SAME(ours, theirs) _Static_assert((ours) == (theirs), #ours)
#define SAME_MEMBER(ours, a, theirs, b)                                                                                \
  SAME(offsetof(ours, a), offsetof(theirs, b));                                                                        \
  SAME(sizeof((ours){0}.a), sizeof((theirs){0}.b))

SAME(sizeof(cu_handle), sizeof(CUgraphNode));
SAME(sizeof(cu_address), sizeof(CUdeviceptr));
SAME(sizeof(int), sizeof(CUdevice));
SAME(sizeof(int), sizeof(CUresult));

SAME(sizeof(cu_kernel_node), sizeof(CUDA_KERNEL_NODE_PARAMS));
SAME_MEMBER(cu_kernel_node, function, CUDA_KERNEL_NODE_PARAMS, func);
SAME_MEMBER(cu_kernel_node, blocks[0], CUDA_KERNEL_NODE_PARAMS, gridDimX);
SAME_MEMBER(cu_kernel_node, threads[0], CUDA_KERNEL_NODE_PARAMS, blockDimX);
SAME_MEMBER(cu_kernel_node, threads[2], CUDA_KERNEL_NODE_PARAMS, blockDimZ);
SAME_MEMBER(cu_kernel_node, shared, CUDA_KERNEL_NODE_PARAMS, sharedMemBytes);
SAME_MEMBER(cu_kernel_node, arguments, CUDA_KERNEL_NODE_PARAMS, kernelParams);
SAME_MEMBER(cu_kernel_node, extra, CUDA_KERNEL_NODE_PARAMS, extra);
SAME_MEMBER(cu_kernel_node, kernel, CUDA_KERNEL_NODE_PARAMS, kern);
SAME_MEMBER(cu_kernel_node, context, CUDA_KERNEL_NODE_PARAMS, ctx);

SAME(sizeof(cu_memset_node), sizeof(CUDA_MEMSET_NODE_PARAMS));
SAME_MEMBER(cu_memset_node, to, CUDA_MEMSET_NODE_PARAMS, dst);
SAME_MEMBER(cu_memset_node, pitch, CUDA_MEMSET_NODE_PARAMS, pitch);
SAME_MEMBER(cu_memset_node, value, CUDA_MEMSET_NODE_PARAMS, value);
SAME_MEMBER(cu_memset_node, element_bytes, CUDA_MEMSET_NODE_PARAMS, elementSize);
SAME_MEMBER(cu_memset_node, width, CUDA_MEMSET_NODE_PARAMS, width);
SAME_MEMBER(cu_memset_node, height, CUDA_MEMSET_NODE_PARAMS, height);

SAME(CU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME(CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
SAME(CU_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(CU_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(CU_MOST_SHARED, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(CU_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME(CU_EVENT_NO_TIMING, CU_EVENT_DISABLE_TIMING);
