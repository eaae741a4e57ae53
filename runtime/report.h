/* report.h: what a training run tells while it runs: on standard output, on standard error and in the log. */
#ifndef NITIC_REPORT_H
#define NITIC_REPORT_H

#include "internal.h"
#include "log.h"

typedef struct {
  nitic_log log;
  nitic_bar bar;
  int64_t steps; /* of an epoch */
  int64_t every; /* steps of an interval */
  int64_t epoch_start, interval_start, first_step;
  nitic_metrics interval;
  nitic_epoch_values said; /* the last scalars that were told */
} nitic_report;

/* Opens the log and states what the options became. */
int nitic_report_open(nitic_report *report, const nitic_session *session, int64_t samples, int64_t every,
                      const char *log, bool append);
void nitic_report_begin(nitic_report *report, const nitic_session *session);
/* Whether an interval ends with the step that was started last: then its metrics must be there. */
bool nitic_report_is_due(const nitic_report *report, const nitic_session *session);
/* metrics: of the steps that have finished since the last call. */
void nitic_report_step(nitic_report *report, const nitic_session *session, const nitic_metrics *metrics);
void nitic_report_epoch(nitic_report *report, const nitic_session *session, const nitic_metrics *trained,
                        const nitic_metrics *tested);
void nitic_report_clear(nitic_report *report);
/* status, or that of an incomplete log where status is NITIC_OK. */
int nitic_report_close(nitic_report *report, int status);

#endif
