/* bare/session.h: what lies in the caller's memory behind the arena. */
#ifndef NITIC_BARE_SESSION_H
#define NITIC_BARE_SESSION_H

#include "core/internal.h"

struct nitic_device {
  const nitic_program *program;
  const nitic_variant *variant;
  uint8_t *arena;
};

#endif
