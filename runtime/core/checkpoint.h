/* core/checkpoint.h: what writers and readers of checkpoints share. checkpoint.c has the format. */
#ifndef NITIC_CORE_CHECKPOINT_H
#define NITIC_CORE_CHECKPOINT_H

#include "core/internal.h"

/* Indexed by nitic_dtype. */
extern const char *const NITIC_SAFETENSORS_NAMES[5];
extern const int32_t NITIC_ELEMENT_BYTES[5];

/* The tensor of the state that a file has behind `last`, or first where that is NULL; NULL: there is none. */
const nitic_tensor *nitic_next_state(const nitic_program *program, const nitic_tensor *last);

/* Whether a run can have come so far. */
bool nitic_progress_is_sensible(const nitic_progress *progress, int32_t batch);

/* The description has "checksum":"0123456789abcdef": FNV-1a over the description with zeros for these digits and then
 * over each tensor, name and data, in the order of nitic_next_state. */
enum { NITIC_CHECKSUM_DIGITS = 16 };
#define NITIC_CHECKSUM_START UINT64_C(0xcbf29ce484222325)
uint64_t nitic_checksum(uint64_t sum, const void *data, uint64_t bytes);

#endif
