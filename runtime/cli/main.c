/* cli/main.c: the executable of a compiled program. It is linked with the generated program.c, which defines
 * nitic_program_instance. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static int run(nitic_session *session, const nitic_options *options) {
  switch (options->command) {
  case NITIC_TRAIN:
    return nitic_train(session, options);
  case NITIC_EVAL:
    return nitic_evaluate(session, options);
  case NITIC_PREDICT:
    return nitic_classify(session, options);
  default:
    return nitic_info(session, options);
  }
}

static int start(int count, char **arguments) {
  nitic_options options;
  int status = nitic_options_parse(&options, count, arguments);
  if (status != NITIC_OK)
    return status;
  if (options.command == NITIC_HELP) {
    nitic_options_help(stdout, arguments[0], nitic_program_instance.model);
    return NITIC_OK;
  }
  nitic_session *session;
  status = nitic_session_make(&nitic_program_instance, options.threads > 0 ? (int)options.threads : 0, options.variant,
                              &session);
  if (status == NITIC_OK && options.command != NITIC_INFO)
    status = nitic_session_open(session);
  if (status == NITIC_OK)
    status = run(session, &options);
  nitic_session_destroy(session);
  return status;
}

int main(int count, char **arguments) {
  nitic_process_begin();
  if (count < 2) {
    nitic_options_help(stderr, count > 0 ? arguments[0] : "nitic", nitic_program_instance.model);
    return NITIC_USAGE;
  }
  int status = start(count, arguments);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    int failed = nitic_fail(NITIC_RUNTIME, "cannot write to standard output: %s", strerror(errno));
    status = status == NITIC_OK ? failed : status;
  }
  if (status != NITIC_OK)
    fprintf(stderr, "%s: %s\n", arguments[0], nitic_last_error());
  return status;
}
