/* cpu/variant.c: which set of kernels this CPU runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "cpu/variant.h"

bool nitic_variant_supported(const nitic_variant *variant) {
  for (uint32_t i = 0; i < variant->need_count; i++)
    if (!nitic_is_met(&variant->needs[i]))
      return false;
  return true;
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
    if (!nitic_variant_supported(&program->variants[i]))
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
    if (nitic_variant_supported(&program->variants[i])) {
      *variant = &program->variants[i];
      return NITIC_OK;
    }
  char names[256];
  list_variants(program, names, sizeof names);
  return nitic_fail(NITIC_UNSUPPORTED, "this CPU runs none of the program's variants (%s)", names);
}
