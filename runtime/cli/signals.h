/* cli/signals.h: a signal that would end the process lets a run end in order instead, with its checkpoint. */
#ifndef NITIC_CLI_SIGNALS_H
#define NITIC_CLI_SIGNALS_H

#include <stdbool.h>

/* After this a signal that ends a job (SIGTERM, SIGHUP, ...) only makes nitic_interrupted true. A second SIGINT or
 * SIGQUIT ends the process: those come from a person. */
void nitic_catch_signals(void);
/* The same where the reader of an output goes away; the write fails too. */
void nitic_catch_broken_pipes(void);
bool nitic_interrupted(void);

#endif
