/* core/kernel.h: what kernels in C99 are made with. A byte has 8 bits; numbers are in two's complement, and a shift to
 * the right keeps the sign: compilers do so, though the standard leaves it to them. */
#ifndef NITIC_CORE_KERNEL_H
#define NITIC_CORE_KERNEL_H

#include "nitic.h"

/* Does not compile where it is otherwise. */
typedef char nitic_shifts_keep_the_sign[(-2 >> 1) == -1 ? 1 : -1];

static inline int32_t nitic_min_int32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t nitic_max_int32(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int64_t nitic_min_int64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t nitic_max_int64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline uint32_t nitic_min_uint32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t nitic_max_uint32(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* Towards minus infinity, for b > 0. */
static inline int32_t nitic_floor_div_int32(int32_t a, int32_t b) { return a / b - (a % b < 0); }
static inline int32_t nitic_floor_mod_int32(int32_t a, int32_t b) { return a % b + (a % b < 0 ? b : 0); }
static inline int64_t nitic_floor_div_int64(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static inline int64_t nitic_floor_mod_int64(int64_t a, int64_t b) { return a % b + (a % b < 0 ? b : 0); }

/* Of a number above 0. */
static inline int nitic_leading_zeros_int64(int64_t value) {
  uint64_t bits = (uint64_t)value;
  int zeros = 0;
  for (int half = 32; half > 0; half /= 2)
    if (bits >> (64 - half) == 0) {
      zeros += half;
      bits <<= half;
    }
  return zeros;
}

static inline int nitic_leading_zeros_int32(int32_t value) { return nitic_leading_zeros_int64(value) - 32; }

#endif
