/* cli/options.h: the command line. */
#ifndef NITIC_CLI_OPTIONS_H
#define NITIC_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "data/dataset.h"

typedef enum { NITIC_TRAIN, NITIC_EVAL, NITIC_PREDICT, NITIC_INFO, NITIC_HELP } nitic_command;

/* Options not given are NULL or -1. */
typedef struct {
  nitic_command command;
  const char *data, *load, *resume, *save, *log, *output, *logits, *variant;
  const char *lr, *momentum, *schedule, *warmup, *gb, *weight_decay, *augment;
  const char *split_name;
  nitic_split split;
  int64_t threads, epochs, seed, log_every, save_every;
} nitic_options;

int nitic_options_parse(nitic_options *options, int count, char **arguments);
void nitic_options_help(FILE *to, const char *program, const char *model);

#endif
