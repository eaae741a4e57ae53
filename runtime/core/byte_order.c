/* core/byte_order.c: files hold numbers with their lowest byte first; memory holds them as the machine does. */
#include "core/internal.h"

static bool lowest_byte_first(void) {
  const uint16_t one = 1;
  return *(const uint8_t *)&one == 1;
}

void nitic_turn(void *numbers, int64_t count, size_t bytes) {
  if (lowest_byte_first())
    return;
  uint8_t *at = numbers;
  for (int64_t i = 0; i < count; i++, at += bytes)
    for (size_t low = 0, high = bytes - 1; low < high; low++, high--) {
      uint8_t other = at[low];
      at[low] = at[high];
      at[high] = other;
    }
}

void nitic_turn_state(const nitic_program *program, uint8_t *memory) {
  for (uint32_t i = 0; i < program->tensor_count; i++) {
    const nitic_tensor *tensor = &program->tensors[i];
    int64_t count = nitic_elements(tensor);
    if (nitic_is_state(tensor) && !nitic_is_constant(tensor) && count > 0)
      nitic_turn(memory + tensor->offset, count, (size_t)(tensor->bytes / (uint64_t)count));
  }
}
