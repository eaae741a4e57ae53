/* nitic_dev.cuh: what generated kernels call. Everything that only a GPU has comes from nitic_ptx.cuh, of which the CPU
 * emulator of the tests has its own. No floating point anywhere. */
#ifndef NITIC_DEV_CUH
#define NITIC_DEV_CUH

#include <nitic_ptx.cuh>

typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned short ushort;

enum { NITIC_WARP = 32, NITIC_MOST_WARPS = 32 };

/* Counts the maximum of every thread of the block into a range, with at most one atomic operation. */
NITIC_DEVICE void nitic_range_max(int64_t *range, int64_t top) {
  __shared__ int64_t tops[NITIC_MOST_WARPS];
  for (int distance = NITIC_WARP / 2; distance > 0; distance /= 2)
    top = max(top, nitic_shuffle_xor(top, distance));
  nitic_block_barrier(); /* everybody has read the tops of an earlier range */
  if (threadIdx.x % NITIC_WARP == 0)
    tops[threadIdx.x / NITIC_WARP] = top;
  nitic_block_barrier();
  if (threadIdx.x != 0)
    return;
  for (uint warp = 1; warp < blockDim.x / NITIC_WARP; warp++)
    top = max(top, tops[warp]);
  nitic_atomic_max(range, top);
}

/* a / b of numbers that are not negative, b > 0, digit by digit: the compiler's own division goes through floating
 * point. */
NITIC_DEVICE int64_t nitic_divide(int64_t a, int64_t b) {
  uint64_t rest = 0, quotient = 0;
  for (int bit = 63; bit >= 0; bit--) {
    rest = rest << 1 | ((uint64_t)a >> bit & 1);
    bool fits = rest >= (uint64_t)b;
    rest -= fits ? (uint64_t)b : 0;
    quotient |= (uint64_t)fits << bit;
  }
  return (int64_t)quotient;
}

/* Sixteen bytes to shared memory: base[index + i] for low <= i < high, zeros before and behind. */
NITIC_DEVICE void nitic_gather16(int to, const int8_t *base, int index, int low, int high) {
  uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 16; i++)
    if (i >= low && i < high)
      words[i / 4] |= (uint32_t)(uint8_t)base[index + i] << (i % 4 * 8);
  nitic_store16(to, words);
}

#endif
