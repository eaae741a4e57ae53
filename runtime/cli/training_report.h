/* cli/training_report.h: what a training run tells: on standard output, on standard error and in the log. */
#ifndef NITIC_CLI_TRAINING_REPORT_H
#define NITIC_CLI_TRAINING_REPORT_H

#include "cli/log.h"
#include "cli/progress_bar.h"
#include "core/internal.h"

typedef struct {
  nitic_log log;
  nitic_bar bar;
  int64_t steps; /* of an epoch */
  int64_t every; /* steps of an interval */
  int64_t epoch_start, interval_start, first_step;
  nitic_metrics interval;
  nitic_values said; /* the scalars that were last said */
} nitic_report;

/* Opens the log and states what the options became. */
int nitic_report_open(nitic_report *report, const nitic_session *session, int64_t samples, int64_t every,
                      const char *log, bool append);
void nitic_report_begin(nitic_report *report, const nitic_session *session);
/* Whether an interval ends with the step that was started last: then wait for its metrics before nitic_report_step. */
bool nitic_report_is_due(const nitic_report *report, const nitic_session *session);
/* metrics: of the steps that have finished since the last call. */
void nitic_report_step(nitic_report *report, const nitic_session *session, const nitic_metrics *metrics);
void nitic_report_epoch(nitic_report *report, const nitic_session *session, const nitic_metrics *trained,
                        const nitic_metrics *tested);
void nitic_report_clear(nitic_report *report);
/* status, or that of an incomplete log where status is NITIC_OK. */
int nitic_report_close(nitic_report *report, int status);

#endif
