/* cli/commands.h: what the executable does, on top of the public interface. */
#ifndef NITIC_CLI_COMMANDS_H
#define NITIC_CLI_COMMANDS_H

#include "cli/options.h"

int nitic_train(nitic_session *session, const nitic_options *options);
int nitic_evaluate(nitic_session *session, const nitic_options *options);
int nitic_classify(nitic_session *session, const nitic_options *options);
int nitic_info(nitic_session *session, const nitic_options *options);

/* Sets the input statistics where they are missing, and every `top` where none is set; says so on standard error. */
int nitic_prepare_input(nitic_session *session, const nitic_dataset *data);
int nitic_prepare_tops(nitic_session *session, const nitic_dataset *data);
/* Sums over all samples; stops with NITIC_INTERRUPTED after a signal, and then there are no sums. */
int nitic_evaluate_data(nitic_session *session, const nitic_dataset *data, nitic_metrics *metrics);

#endif
