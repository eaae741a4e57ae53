/* core/hyper.h: learning rate, momentum, weight decay, their schedules and augmentation, from text to integers. */
#ifndef NITIC_CORE_HYPER_H
#define NITIC_CORE_HYPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/augment.h"

enum { NITIC_NO_DECAY = 80, NITIC_MAX_SCHEDULE = 64, NITIC_OPTION_LENGTH = 256 };

/* num / den * 2^exponent, exactly; num at most 2^32, den at most 5^12. */
typedef struct {
  uint64_t num, den;
  int32_t exponent;
} nitic_fraction;

/* m * 2^-k, m odd and below 256 (0 for a rate of 0). */
typedef struct {
  int32_t m, k;
} nitic_rate;

/* "0.9", "1e-3", ".5" or "2^-6": at most 9 digits. */
bool nitic_fraction_parse(const char *text, nitic_fraction *value);
/* fraction * factor / 2^30 to 8 bits, half up. */
nitic_rate nitic_rate_round(nitic_fraction value, uint32_t factor_q30);
/* rate * 2^floor(log2 batch) / batch to 8 bits. */
nitic_rate nitic_rate_scale(nitic_rate rate, int32_t batch);
/* round(value * 2^bits); -1 when that is above 2^bits. */
int64_t nitic_fraction_fixed(nitic_fraction value, int bits);
/* k with 2^-k nearest to the rate; halfway counts as the larger power. */
int32_t nitic_rate_log2(nitic_rate rate);

typedef enum { NITIC_CONSTANT, NITIC_STEPS, NITIC_COSINE } nitic_schedule_kind;

typedef struct {
  int64_t epoch;
  int32_t value;
} nitic_gb_entry;

/* An option as it was given, which is what a checkpoint keeps, beside what it means. */
typedef struct {
  char lr_text[NITIC_OPTION_LENGTH], momentum_text[NITIC_OPTION_LENGTH], schedule_text[NITIC_OPTION_LENGTH];
  char gb_text[NITIC_OPTION_LENGTH], decay_text[NITIC_OPTION_LENGTH], augment_text[NITIC_OPTION_LENGTH];
  char warmup_text[NITIC_OPTION_LENGTH];
  nitic_fraction lr;
  int32_t momentum;  /* of 256 */
  int32_t decay;     /* d of 2^-d; -1 = none */
  int64_t decay_q30; /* not rounded to a power of two */
  nitic_schedule_kind schedule;
  int64_t steps[NITIC_MAX_SCHEDULE]; /* epochs at which the rate is multiplied by the factor */
  int32_t step_count;
  uint32_t factor_q30; /* of a step; the least factor of a cosine */
  nitic_gb_entry gb[NITIC_MAX_SCHEDULE];
  nitic_augment augment; /* of what the command train reads */
  int64_t warmup;        /* steps in which the rate rises to its first value */
  int32_t gb_count;      /* 0 = auto: 4, then 3 from 2/5 of the epochs on, 2 from 4/5 on */
} nitic_hyper;

typedef struct {
  nitic_rate unscaled, rate;
  int32_t momentum, decay, gb;
  int32_t shrink; /* rate times weight decay, in 2^-24 */
} nitic_values;

typedef enum { NITIC_PLAIN, NITIC_MOMENTUM, NITIC_BITS, NITIC_MOMENTS } nitic_update_rule;

/* The defaults. niti16: 2^-6 with momentum 0.9 or 2^-3 without momentum, cosine. niti: gb auto, and for 1-D parameters
 * a constant 2^-4. Rules with moments: 2^-10, cosine, 100 steps of warm-up. */
void nitic_hyper_defaults(nitic_hyper *hyper, nitic_update_rule rule);
int nitic_hyper_set(nitic_hyper *hyper, const char *option, const char *text);
/* NULL when there is no such option. */
const char *nitic_hyper_text(const nitic_hyper *hyper, const char *option);
/* What a step of an epoch goes by; steps are counted over the whole run. */
int nitic_hyper_values(const nitic_hyper *hyper, int32_t batch, int64_t epoch, int64_t epochs, int64_t step,
                       nitic_values *values);

#endif
