/* nitic_ptx.cuh of the emulator: the names of runtime/cuda/ptx/nitic_ptx.cuh, with their meaning on a CPU. */
#ifndef NITIC_PTX_CUH
#define NITIC_PTX_CUH

#include "emulator.h"

#define NITIC_DEVICE static inline

#ifndef NITIC_WGMMA
#define NITIC_WGMMA 0
#endif

#define NITIC_ALIGNED(pointer)                                                                                         \
  if ((uintptr_t)pointer % 16)                                                                                         \
  emulator::fail("a buffer at an address that is no multiple of 16")

template <typename T> inline T max(T a, T b) { return a > b ? a : b; }
template <typename T> inline T min(T a, T b) { return a < b ? a : b; }

inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz((unsigned)value); }
inline int __clzll(int64_t value) { return value == 0 ? 64 : __builtin_clzll((uint64_t)value); }

NITIC_DEVICE void nitic_block_barrier() { emulator::wait(emulator::AT_BLOCK); }

NITIC_DEVICE void nitic_warp_barrier() { emulator::wait(emulator::AT_WARP); }

NITIC_DEVICE int64_t nitic_shuffle_xor(int64_t value, int distance) {
  using namespace emulator;
  exchange[current][0] = (uint64_t)value;
  wait(AT_WARP);
  int64_t other = (int64_t)exchange[warp_start() + (lane() ^ (unsigned)distance)][0];
  wait(AT_WARP); /* nobody writes the next value before all have read this one */
  return other;
}

NITIC_DEVICE void nitic_atomic_max(int64_t *address, int64_t value) { *address = max(*address, value); }

NITIC_DEVICE void nitic_atomic_add(int32_t *address, int32_t value) { *address += value; }
NITIC_DEVICE void nitic_atomic_add(int64_t *address, int64_t value) { *address += value; }

NITIC_DEVICE void nitic_copy16(int to, const int8_t *from, int inside) { emulator::copy_later(to, from, inside); }
NITIC_DEVICE void nitic_copy_commit() { emulator::close_group(); }
template <int N> NITIC_DEVICE void nitic_copy_wait() { emulator::finish_groups(N); }

NITIC_DEVICE void nitic_store16(int to, const uint32_t *words) { emulator::store(to, words, 16); }

NITIC_DEVICE void nitic_store8(int to, const int32_t *words) { emulator::store(to, words, 8); }
NITIC_DEVICE void nitic_store4(int to, uint32_t word) { emulator::store(to, &word, 4); }
NITIC_DEVICE uint32_t nitic_load4(int from) {
  uint32_t word;
  __builtin_memcpy(&word, emulator::shared_at(from, 4), 4);
  return word;
}
NITIC_DEVICE void nitic_write16(int8_t *to, const uint32_t *words) {
  if ((uintptr_t)to % 16)
    emulator::fail("16 bytes written to an address that is no multiple of 16");
  __builtin_memcpy(to, words, 16);
}
NITIC_DEVICE void nitic_load16(int32_t *words, int from) { __builtin_memcpy(words, emulator::shared_at(from, 16), 16); }

NITIC_DEVICE void nitic_load_matrices(uint32_t *words, int from) {
  using namespace emulator;
  exchange[current][0] = (uint64_t)from;
  wait(AT_WARP);
  for (unsigned matrix = 0; matrix < 4; matrix++) {
    int row = (int)exchange[warp_start() + matrix * 8 + lane() / 4][0];
    __builtin_memcpy(&words[matrix], shared_at(row, 16) + lane() % 4 * 4, 4);
  }
  wait(AT_WARP);
}

NITIC_DEVICE void nitic_multiply(int32_t *acc, const uint32_t *a, const uint32_t *b) {
  using namespace emulator;
  for (int i = 0; i < 4; i++)
    exchange[current][i] = a[i];
  for (int i = 0; i < 2; i++)
    exchange[current][4 + i] = b[i];
  wait(AT_WARP);
  multiply_fragments(acc);
  wait(AT_WARP);
}

NITIC_DEVICE void nitic_proxy_fence() { emulator::show_stores(); }
NITIC_DEVICE void nitic_products_begin() { emulator::begin_products(); }
NITIC_DEVICE void nitic_products_wait() { emulator::finish_products(); }

template <int N> NITIC_DEVICE void nitic_multiply_later(int32_t *acc, int a, int b) {
  emulator::multiply_later({acc, a, b, N});
}

#endif
