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

/* Whether four warps together multiply: the instructions exist on sm_90a alone. */
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define NITIC_WGMMA 1
#else
#define NITIC_WGMMA 0
#endif

/* Tells the compiler what it cannot know of a pointer parameter: it is a multiple of 16. */
#define NITIC_ALIGNED(pointer) pointer = (decltype(pointer))__builtin_assume_aligned(pointer, 16)

NITIC_DEVICE void nitic_block_barrier() { __syncthreads(); }

/* What each thread of the warp wrote to shared memory before it, the others see after it. */
NITIC_DEVICE void nitic_warp_barrier() { __syncwarp(); }

NITIC_DEVICE int64_t nitic_shuffle_xor(int64_t value, int distance) {
  return __shfl_xor_sync(0xffffffffu, (long long)value, distance);
}

/* Most values are below what is there already: then a cheap read saves the atomic operation. */
NITIC_DEVICE void nitic_atomic_max(int64_t *address, int64_t value) {
  if (value > *(volatile int64_t *)address)
    atomicMax((long long *)address, (long long)value);
}

NITIC_DEVICE void nitic_atomic_add(int32_t *address, int32_t value) { atomicAdd(address, value); }

/* Unsigned numbers wrap to the sum of signed ones. */
NITIC_DEVICE void nitic_atomic_add(int64_t *address, int64_t value) {
  atomicAdd((unsigned long long *)address, (unsigned long long)(long long)value);
}

/* The address of an offset of the block's dynamic shared memory, as instructions want it. */
NITIC_DEVICE uint32_t nitic_shared(int offset) {
  extern __shared__ __align__(512) int8_t nitic_dynamic[];
  return (uint32_t)__cvta_generic_to_shared(nitic_dynamic) + (uint32_t)offset;
}

/* Starts a copy of 16 bytes to shared memory, or of zeros: it is there when the thread has waited for its group. */
NITIC_DEVICE void nitic_copy16(int to, const int8_t *from, int inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(nitic_shared(to)), "l"(from), "r"(inside ? 16 : 0)
               : "memory");
}

/* Ends a group of copies. */
NITIC_DEVICE void nitic_copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/* Waits until at most N groups of the thread are unfinished. */
template <int N> NITIC_DEVICE void nitic_copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

NITIC_DEVICE void nitic_store16(int to, const uint32_t *words) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(nitic_shared(to)), "r"(words[0]), "r"(words[1]),
               "r"(words[2]), "r"(words[3])
               : "memory");
}

NITIC_DEVICE void nitic_store8(int to, const int32_t *words) {
  asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(nitic_shared(to)), "r"(words[0]), "r"(words[1]) : "memory");
}

NITIC_DEVICE void nitic_store4(int to, uint32_t word) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(nitic_shared(to)), "r"(word) : "memory");
}

NITIC_DEVICE uint32_t nitic_load4(int from) {
  uint32_t word;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(nitic_shared(from)) : "memory");
  return word;
}

NITIC_DEVICE void nitic_load16(int32_t *words, int from) {
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(nitic_shared(from))
               : "memory");
}

/* To global memory, at a multiple of 16. */
NITIC_DEVICE void nitic_write16(int8_t *to, const uint32_t *words) {
  *(uint4 *)to = make_uint4(words[0], words[1], words[2], words[3]);
}

/* Four 8 x 16 byte matrices: thread i gives the offset of row i % 8 of matrix i / 8, and gets bytes 4 * (i % 4) and
 * following of row i / 4 of each. */
NITIC_DEVICE void nitic_load_matrices(uint32_t *words, int from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(nitic_shared(from))
               : "memory");
}

/* acc (16 x 8) += a (16 x 32) . b (8 x 32)^T, in the fragments of mma.m16n8k32. */
NITIC_DEVICE void nitic_multiply(int32_t *acc, const uint32_t *a, const uint32_t *b) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#if NITIC_WGMMA
/* Rows of 64 bytes in shared memory, swizzled by chunks of 16: groups of 8 rows are 512 bytes apart. */
NITIC_DEVICE uint64_t nitic_operand(int offset) {
  return (uint64_t)2 << 62 | (uint64_t)(512 >> 4) << 32 | (uint64_t)1 << 16 | (nitic_shared(offset) & 0x3ffff) >> 4;
}

/* What the thread wrote to shared memory before it, the products of its block see after the next block barrier. */
NITIC_DEVICE void nitic_proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* To call before products: what was written to their sums before is in the registers. */
NITIC_DEVICE void nitic_products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/* Ends a group of products and waits for it. */
NITIC_DEVICE void nitic_products_wait() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

#define NITIC_4(acc, i) "+r"(acc[i]), "+r"(acc[i + 1]), "+r"(acc[i + 2]), "+r"(acc[i + 3])
#define NITIC_16(acc, i) NITIC_4(acc, i), NITIC_4(acc, i + 4), NITIC_4(acc, i + 8), NITIC_4(acc, i + 12)

/* Starts acc (64 x N) += a (64 x 32) . b (N x 32)^T of four warps, operands at offsets of shared memory. A warp has 16
 * rows: sums 4 * j and following are those that mma.m16n8k32 has of columns 8 * j to 8 * j + 7. */
template <int N> NITIC_DEVICE void nitic_multiply_later(int32_t *acc, int a, int b) {
  static_assert(N == 64 || N == 128, "no such product");
  if constexpr (N == 64)
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "
                 "%12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
                 "%32, %33, 1;"
                 : NITIC_16(acc, 0), NITIC_16(acc, 16)
                 : "l"(nitic_operand(a)), "l"(nitic_operand(b))
                 : "memory");
  else
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "
                 "%12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "%64, %65, 1;"
                 : NITIC_16(acc, 0), NITIC_16(acc, 16), NITIC_16(acc, 32), NITIC_16(acc, 48)
                 : "l"(nitic_operand(a)), "l"(nitic_operand(b))
                 : "memory");
}
#else
NITIC_DEVICE void nitic_proxy_fence() {}
NITIC_DEVICE void nitic_products_begin() {}
NITIC_DEVICE void nitic_products_wait() {}
template <int N>
NITIC_DEVICE void nitic_multiply_later(int32_t *, int, int) {} /* never called: it makes the text compile */
#endif

#endif
