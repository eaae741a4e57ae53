/* bare/session.c: a session in memory of the caller: the arena, and behind it the session itself. */
#include "bare/session.h"

enum { SLACK = 64, ALIGNMENT = 64 }; /* kernels may read up to 64 bytes past their last buffer */

typedef struct {
  nitic_session session;
  nitic_device device;
} placed;

/* Does not compile where there is too little room. */
typedef char nitic_session_has_room[sizeof(placed) + SLACK + ALIGNMENT <= NITIC_SESSION_BYTES ? 1 : -1];

uint64_t nitic_session_bytes(const nitic_program *program) {
  return program->variants->arena_bytes + NITIC_SESSION_BYTES;
}

int nitic_session_at(const nitic_program *program, void *memory, uint64_t bytes, nitic_session **session) {
  uint8_t *arena = memory;
  *session = NULL;
  if (bytes < nitic_session_bytes(program) || (uintptr_t)memory % ALIGNMENT != 0)
    return nitic_fail(NITIC_USAGE, "a session takes %lld bytes from a multiple of %d on",
                      (long long)nitic_session_bytes(program), ALIGNMENT);
  uint64_t behind = (program->variants->arena_bytes + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  placed *made = (void *)(arena + behind);
  for (uint64_t i = 0; i < behind + sizeof *made; i++)
    arena[i] = 0;
  made->device = (nitic_device){program, program->variants, arena};
  made->session.device = &made->device;
  int status = nitic_session_begin(&made->session, program, 1, NULL);
  if (status == NITIC_OK)
    status = nitic_session_open(&made->session);
  *session = status == NITIC_OK ? &made->session : NULL;
  return status;
}

/* The session has its device already. */
int nitic_device_create(const nitic_program *program, int threads, const char *variant, nitic_device **device) {
  (void)program;
  (void)threads;
  (void)variant;
  (void)device;
  return NITIC_OK;
}

/* Where the named tensors end. */
static uint64_t named_bytes(const nitic_program *program) {
  uint64_t end = program->state_bytes;
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (!nitic_is_constant(&program->tensors[i]) && program->tensors[i].offset + program->tensors[i].bytes > end)
      end = program->tensors[i].offset + program->tensors[i].bytes;
  return end;
}

/* The sums lie where a step has its scratch. */
int nitic_set_statistics(nitic_session *s, const uint8_t *samples, int64_t count) {
  nitic_statistics statistics;
  int status = nitic_statistics_check(s);
  if (status != NITIC_OK || s->program->normalised)
    return status;
  uint64_t begin = (named_bytes(s->program) + 7) / 8 * 8;
  uint64_t bytes = (uint64_t)nitic_statistics_channels(s->program) * 2 * sizeof(int64_t);
  if (begin + bytes > s->device->variant->arena_bytes)
    return nitic_fail(NITIC_RUNTIME, "no memory for the statistics of %d channels",
                      nitic_statistics_channels(s->program));
  nitic_statistics_begin(&statistics, s->program, (void *)(s->memory + begin));
  nitic_statistics_add(&statistics, samples, count);
  status = nitic_statistics_set(s, &statistics);
  for (uint64_t i = 0; i < bytes; i++) /* ranges must stay zero where no thread writes them */
    s->memory[begin + i] = 0;
  return status;
}
