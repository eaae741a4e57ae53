/* nitic_ptx.cuh of the emulator: the names of runtime/cuda/ptx/nitic_ptx.cuh, with their meaning on a CPU. */
#ifndef NITIC_PTX_CUH
#define NITIC_PTX_CUH

#include "emulator.h"

#define NITIC_DEVICE static inline

template <typename T> inline T max(T a, T b) { return a > b ? a : b; }
template <typename T> inline T min(T a, T b) { return a < b ? a : b; }

inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz((unsigned)value); }
inline int __clzll(int64_t value) { return value == 0 ? 64 : __builtin_clzll((uint64_t)value); }

NITIC_DEVICE void nitic_block_barrier() { emulator::wait(emulator::AT_BLOCK); }

NITIC_DEVICE int64_t nitic_shuffle_xor(int64_t value, int distance) {
  using namespace emulator;
  exchange[current][0] = (uint64_t)value;
  wait(AT_WARP);
  int64_t other = (int64_t)exchange[warp_start() + (lane() ^ (unsigned)distance)][0];
  wait(AT_WARP); /* nobody writes the next value before all have read this one */
  return other;
}

NITIC_DEVICE void nitic_atomic_max(int64_t *address, int64_t value) { *address = max(*address, value); }

#endif
