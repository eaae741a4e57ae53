/* nitic_dev.cuh: what generated kernels call. Everything that only a GPU has comes from nitic_ptx.cuh, of which the CPU
 * emulator of the tests has its own. No floating point anywhere. */
#ifndef NITIC_DEV_CUH
#define NITIC_DEV_CUH

#include <nitic_ptx.cuh>

typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned short ushort;

enum { NITIC_WARP = 32, NITIC_MOST_WARPS = 32 };

/* Raises a range to the maximum over all threads of the block, with at most one atomic operation. */
NITIC_DEVICE void nitic_range_max(int64_t *range, int64_t top) {
  __shared__ int64_t tops[NITIC_MOST_WARPS];
  for (int distance = NITIC_WARP / 2; distance > 0; distance /= 2)
    top = max(top, nitic_shuffle_xor(top, distance));
  nitic_block_barrier(); /* all threads have read the tops of an earlier range */
  if (threadIdx.x % NITIC_WARP == 0)
    tops[threadIdx.x / NITIC_WARP] = top;
  nitic_block_barrier();
  if (threadIdx.x != 0)
    return;
  for (uint warp = 1; warp < blockDim.x / NITIC_WARP; warp++)
    top = max(top, tops[warp]);
  nitic_atomic_max(range, top);
}

/* A tile of sums, and how its warps share it. Where four warps multiply together, a warp has 16 rows and all columns,
 * else WARP_ROWS x WARP_COLUMNS; both are slabs of 16 rows and WARP_COLUMNS columns, with the same sums of a thread. */
template <int ROWS, int COLUMNS, int WARP_ROWS, int WARP_COLUMNS> struct nitic_tile {
  static constexpr bool together = NITIC_WGMMA && WARP_COLUMNS == 32;
  static constexpr int step_bytes = 64; /* of a row of an operand in shared memory */

  NITIC_DEVICE int warp() { return threadIdx.x / NITIC_WARP; }
  NITIC_DEVICE int lane() { return threadIdx.x % NITIC_WARP; }

  /* Where a slab of the thread's warp begins. */
  NITIC_DEVICE int row(int slab) {
    return together ? warp() * 16 : warp() / (COLUMNS / WARP_COLUMNS) * WARP_ROWS + slab * 16;
  }
  NITIC_DEVICE int column(int slab) {
    return together ? slab * WARP_COLUMNS : warp() % (COLUMNS / WARP_COLUMNS) * WARP_COLUMNS;
  }

  /* The offset of a chunk of a row. The 8 rows that a load of matrices reads are in 8 different groups of banks. */
  NITIC_DEVICE int chunk_offset(int row, int chunk) { return row * step_bytes + (chunk ^ (row >> 1 & 3)) * 16; }

  /* acc += a . b^T for the 64 of k that lie at an offset of shared memory, a before b. */
  NITIC_DEVICE void multiply(int32_t *acc, int a) {
    int b = a + ROWS * step_bytes;
    if constexpr (together) {
      a += warp() / 4 * 64 * step_bytes;
      nitic_products_begin();
      nitic_multiply_later<COLUMNS>(acc, a, b);
      nitic_multiply_later<COLUMNS>(acc, a + 32, b + 32);
      nitic_products_wait();
    } else {
#pragma unroll
      for (int half = 0; half < 2; half++)
        multiply_warp(acc, a, b, half * 2);
    }
  }

  /* The fragments of both operands for 32 of k, then all their products. */
  NITIC_DEVICE void multiply_warp(int32_t *acc, int a, int b, int chunk) {
    uint32_t of_a[WARP_ROWS / 16][4], of_b[WARP_COLUMNS / 8][2];
#pragma unroll
    for (int i = 0; i < WARP_ROWS / 16; i++)
      nitic_load_matrices(of_a[i], a + chunk_offset(row(i) + lane() % 16, chunk + lane() / 16));
#pragma unroll
    for (int j = 0; j < WARP_COLUMNS / 8; j += 2)
      nitic_load_matrices(of_b[j],
                          b + chunk_offset(column(0) + j * 8 + lane() % 8 + lane() / 16 * 8, chunk + lane() / 8 % 2));
#pragma unroll
    for (int i = 0; i < WARP_ROWS / 16; i++)
#pragma unroll
      for (int j = 0; j < WARP_COLUMNS / 8; j++)
        nitic_multiply(acc + (i * (WARP_COLUMNS / 8) + j) * 4, of_a[i], of_b[j]);
  }
};

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

/* A byte of a batch of samples HEIGHT x WIDTH x CHANNELS for each thread. A row's pick is the number of its sample,
 * then how far down and to the right it begins, and whether it is mirrored; outside of the sample is `pad`. */
template <int HEIGHT, int WIDTH, int CHANNELS>
NITIC_DEVICE void nitic_gather_byte(uint8_t *batch, const uint8_t *samples, const uint8_t *pad, const int32_t *picks,
                                    int32_t units) {
  int unit = blockIdx.x * blockDim.x + threadIdx.x;
  if (unit >= units)
    return;
  const int32_t *pick = picks + unit / (HEIGHT * WIDTH * CHANNELS) * 4;
  int channel = unit % CHANNELS, column = unit / CHANNELS % WIDTH;
  int y = unit / (WIDTH * CHANNELS) % HEIGHT + pick[1], x = (pick[3] ? WIDTH - 1 - column : column) + pick[2];
  bool inside = y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
  batch[unit] = inside ? samples[(((int64_t)pick[0] * HEIGHT + y) * WIDTH + x) * CHANNELS + channel] : pad[channel];
}

/* The low bytes of four words to four neighbours in shared memory. */
NITIC_DEVICE void nitic_store_bytes(int to, const int32_t *words) {
  uint32_t bytes = 0;
#pragma unroll
  for (int i = 0; i < 4; i++)
    bytes |= (uint32_t)(uint8_t)words[i] << (i * 8);
  nitic_store4(to, bytes);
}

/* Sixteen bytes that lie `stride` apart in shared memory, each the byte of that number in its word, to 16 neighbours in
 * global memory. */
NITIC_DEVICE void nitic_store_column(int8_t *to, int from, int stride, int byte) {
  uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 16; i++)
    words[i / 4] |= (nitic_load4(from + i * stride) >> (byte * 8) & 255) << (i % 4 * 8);
  nitic_write16(to, words);
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
