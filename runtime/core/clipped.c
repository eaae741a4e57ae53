/* core/clipped.c: numbers of the state that stand at the limit of their type, where saturation stopped them. */
#include "core/internal.h"

static int64_t limit_of(const nitic_tensor *tensor) {
  bool wide = tensor->role == NITIC_STATISTIC && tensor->dtype == NITIC_I64; /* running statistics */
  return tensor->role == NITIC_WEIGHT     ? INT8_MAX
         : tensor->role == NITIC_MASTER   ? INT16_MAX
         : tensor->role == NITIC_VELOCITY ? (int64_t)1 << 30
         : wide                           ? (int64_t)1 << 61
                                          : INT64_MAX;
}

static int64_t number(const uint8_t *memory, nitic_dtype dtype, int64_t i) {
  const void *numbers = memory;
  return dtype == NITIC_I8    ? ((const int8_t *)numbers)[i]
         : dtype == NITIC_I16 ? ((const int16_t *)numbers)[i]
         : dtype == NITIC_I32 ? ((const int32_t *)numbers)[i]
                              : ((const int64_t *)numbers)[i];
}

int64_t nitic_clipped(const nitic_session *s, const nitic_tensor *tensor) {
  int64_t limit = limit_of(tensor), clipped = 0;
  if (limit == INT64_MAX)
    return 0;
  for (int64_t i = 0, count = nitic_elements(tensor); i < count; i++) {
    int64_t found = number(nitic_elements_of(s, tensor), tensor->dtype, i);
    clipped += found >= limit || found <= -limit;
  }
  return clipped;
}
