/* hosted/session.c: sessions and statistics in memory of the heap. */
#include <stdlib.h>

#include "core/internal.h"

int nitic_session_make(const nitic_program *program, int threads, const char *variant, nitic_session **session) {
  *session = NULL;
  nitic_session *s = calloc(1, sizeof *s);
  if (!s)
    return nitic_fail(NITIC_RUNTIME, "no memory for a session");
  int status = nitic_session_begin(s, program, threads, variant);
  if (status != NITIC_OK)
    nitic_session_destroy(s);
  else
    *session = s;
  return status;
}

int nitic_session_create(const nitic_program *program, int threads, const char *variant, nitic_session **session) {
  int status = nitic_session_make(program, threads, variant, session);
  if (status == NITIC_OK)
    status = nitic_session_open(*session);
  if (status != NITIC_OK) {
    nitic_session_destroy(*session);
    *session = NULL;
  }
  return status;
}

void nitic_session_destroy(nitic_session *s) {
  if (!s)
    return;
  nitic_device_destroy(s->device);
  free(s);
}

int nitic_statistics_init(nitic_statistics *statistics, const nitic_program *program) {
  int32_t channels = nitic_statistics_channels(program);
  int64_t *sums = calloc((size_t)channels * 2, sizeof *sums);
  if (!sums)
    return nitic_fail(NITIC_RUNTIME, "no memory for the statistics of %d channels", channels);
  nitic_statistics_begin(statistics, program, sums);
  return NITIC_OK;
}

int nitic_statistics_finish(nitic_session *s, nitic_statistics *statistics) {
  int status = nitic_statistics_set(s, statistics);
  free(statistics->sum);
  *statistics = (nitic_statistics){0};
  return status;
}

int nitic_set_statistics(nitic_session *s, const uint8_t *samples, int64_t count) {
  nitic_statistics statistics;
  int status = nitic_statistics_check(s);
  if (status != NITIC_OK || s->program->normalised)
    return status;
  status = nitic_statistics_init(&statistics, s->program);
  if (status != NITIC_OK)
    return status;
  nitic_statistics_add(&statistics, samples, count);
  return nitic_statistics_finish(s, &statistics);
}
