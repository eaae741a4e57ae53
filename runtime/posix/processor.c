/* posix/processor.c: what this processor has: core/system.h. */
#include "core/system.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Which registers the operating system saves; 0 where it says nothing of them. */
static uint32_t saved_registers(void) {
  uint32_t a, b, c, d, low, high;
  bool osxsave = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 27));
  if (!osxsave)
    return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool nitic_is_met(const nitic_requirement *need) {
  uint32_t found[4] = {0};
  if (need->source == NITIC_XCR0)
    return (saved_registers() & need->bits) == need->bits;
  return need->source == NITIC_CPUID &&
         __get_cpuid_count(need->leaf, need->subleaf, &found[0], &found[1], &found[2], &found[3]) &&
         (found[need->reg] & need->bits) == need->bits;
}
#elif defined(__linux__)
#include <sys/auxv.h>

bool nitic_is_met(const nitic_requirement *need) {
  return need->source == NITIC_HWCAP && (getauxval(AT_HWCAP) & need->bits) == need->bits;
}
#else
bool nitic_is_met(const nitic_requirement *need) {
  (void)need;
  return false;
}
#endif
