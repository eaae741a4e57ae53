/* peak.cuh: how fast a GPU multiplies int8, when it does nothing else. It stands behind nitic_ptx.cuh, whose
 * instructions it uses. Operands are made of the thread's number, so that none is zero; sums are stored where they
 * happen to have one value, so that no compiler leaves them out. */

enum { NITIC_PEAK_SUMS = 8, NITIC_PEAK_BYTES = 4096 + 8192 };

__device__ static int32_t nitic_mixed(int32_t i) { return (int32_t)((uint32_t)i * 0x9E3779B9u ^ 0x5bd1e995u); }

__device__ static void nitic_store_sums(int32_t *out, const int32_t *acc, int count) {
  int32_t all = 0;
  for (int i = 0; i < count; i++)
    all ^= acc[i];
  if (all == 0x12345678)
    *out = all;
}

/* mma.sync m16n8k32: each warp has eight sums and does `units` products for each. */
extern "C" __global__ void __launch_bounds__(256) nitic_peak_mma(int32_t *out, int32_t units) {
  int32_t acc[NITIC_PEAK_SUMS * 4] = {0};
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; i++)
    a[i] = (uint32_t)nitic_mixed((int32_t)threadIdx.x * 4 + i);
  for (int i = 0; i < 2; i++)
    b[i] = (uint32_t)nitic_mixed((int32_t)threadIdx.x * 2 + i + 4096);
  for (int32_t unit = 0; unit < units; unit++)
#pragma unroll
    for (int i = 0; i < NITIC_PEAK_SUMS; i++)
      nitic_multiply(acc + i * 4, a, b);
  nitic_store_sums(out, acc, NITIC_PEAK_SUMS * 4);
}

#if NITIC_WGMMA
/* wgmma m64n128k32: four warps together do `units` groups of eight products, of two pieces of shared memory. */
extern "C" __global__ void __launch_bounds__(256) nitic_peak_wgmma(int32_t *out, int32_t units) {
  int32_t acc[64] = {0};
  for (int i = (int)threadIdx.x; i < NITIC_PEAK_BYTES / 8; i += 256) {
    int32_t words[2] = {nitic_mixed(2 * i), nitic_mixed(2 * i + 1)};
    nitic_store8(i * 8, words);
  }
  nitic_proxy_fence();
  nitic_block_barrier();
  for (int32_t unit = 0; unit < units; unit++) {
    nitic_products_begin();
#pragma unroll
    for (int i = 0; i < 8; i++)
      nitic_multiply_later<128>(acc, i % 2 * 32, 4096 + i % 2 * 32);
    nitic_products_wait();
  }
  nitic_store_sums(out, acc, 64);
}
#endif
