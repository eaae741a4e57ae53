/* cpu/variant.h: which set of kernels this CPU runs. */
#ifndef NITIC_CPU_VARIANT_H
#define NITIC_CPU_VARIANT_H

#include <stdbool.h>

#include "nitic.h"

/* The variant to run (see nitic_session_create). */
int nitic_variant_choose(const nitic_program *program, const char *name, const nitic_variant **variant);

#endif
