/* nitic_ptx.cuh: the instructions that only a GPU has, by name. */
#ifndef NITIC_PTX_CUH
#define NITIC_PTX_CUH

#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <cstdint>
#endif

#define NITIC_DEVICE static __device__ __forceinline__

NITIC_DEVICE void nitic_block_barrier() { __syncthreads(); }

NITIC_DEVICE int64_t nitic_shuffle_xor(int64_t value, int distance) {
  return __shfl_xor_sync(0xffffffffu, (long long)value, distance);
}

/* Most values are below what is there already: reading is cheap. */
NITIC_DEVICE void nitic_atomic_max(int64_t *address, int64_t value) {
  if (value > *(volatile int64_t *)address)
    atomicMax((long long *)address, (long long)value);
}

#endif
