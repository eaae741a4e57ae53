/* variant_cpu.c: which set of kernels this CPU runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "variant.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Which registers the operating system saves (XCR0). */
static uint32_t saved_registers(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static bool os_saves(uint32_t mask) {
  uint32_t a, b, c, d;
  bool osxsave = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 27));
  return osxsave && (saved_registers() & mask) == mask;
}

/* What the kernels may use is x86-64-v4 and VNNI: in CPUID leaf 1 FMA (ECX 12); in leaf 7 AVX2 5, BMI2 8, AVX512 F 16,
 * DQ 17, CD 28, BW 30, VL 31 of EBX and VNNI 11 of ECX. XCR0: SSE 1, AVX 2, AVX-512 5 to 7. */
static bool has_avx512vnni(void) {
  const uint32_t features = 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  uint32_t a, b, c, d;
  bool fma = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 12));
  bool avx512 = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & features) == features && (c & (1u << 11));
  return fma && avx512 && os_saves(0xE6);
}
#else
static bool has_avx512vnni(void) { return false; }
#endif

bool nitic_variant_supported(const char *name) {
  if (strcmp(name, "avx512vnni") == 0)
    return has_avx512vnni();
  return strcmp(name, "portable") == 0;
}

static void list_variants(const nitic_program *program, char *text, size_t size) {
  size_t length = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < program->variant_count && length < size; i++)
    length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", program->variants[i].name);
}

static int choose_named(const nitic_program *program, const char *name, const nitic_variant **variant) {
  for (uint32_t i = 0; i < program->variant_count; i++) {
    if (strcmp(program->variants[i].name, name) != 0)
      continue;
    if (!nitic_variant_supported(name))
      return nitic_fail(NITIC_UNSUPPORTED, "variant %s needs instructions that this CPU or its operating system lacks",
                        name);
    *variant = &program->variants[i];
    return NITIC_OK;
  }
  char names[256];
  list_variants(program, names, sizeof names);
  return nitic_fail(NITIC_USAGE, "there is no variant '%s' in this program: it has %s", name, names);
}

int nitic_variant_choose(const nitic_program *program, const char *name, const nitic_variant **variant) {
  if (!name || !*name)
    name = getenv("NITIC_VARIANT");
  if (name && *name)
    return choose_named(program, name, variant);
  for (uint32_t i = 0; i < program->variant_count; i++)
    if (nitic_variant_supported(program->variants[i].name)) {
      *variant = &program->variants[i];
      return NITIC_OK;
    }
  char names[256];
  list_variants(program, names, sizeof names);
  return nitic_fail(NITIC_UNSUPPORTED, "this CPU runs none of the program's variants (%s)", names);
}
