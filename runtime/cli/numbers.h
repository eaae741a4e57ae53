/* cli/numbers.h: what people read of a run: times, losses and accuracies, in fixed point. */
#ifndef NITIC_CLI_NUMBERS_H
#define NITIC_CLI_NUMBERS_H

#include "nitic.h"

/* Milliseconds of a clock that only goes forward. */
int64_t nitic_now(void);

/* Mean loss, in nats or as a sum of squares, and accuracy, in ten-thousandths, rounded. */
int64_t nitic_loss_e4(const nitic_program *program, const nitic_metrics *metrics);
int64_t nitic_accuracy_e4(const nitic_metrics *metrics);

enum { NITIC_NUMBER_LENGTH = 32 };
/* value / 10^digits as text, which it returns. */
char *nitic_fixed(char text[NITIC_NUMBER_LENGTH], int64_t value, int digits);

#endif
