/* core/hyper.c: the options lr, momentum, schedule, warmup, gb and weight-decay: parsing, and their integers for a
 * step. */
#include "core/hyper.h"

#include "core/internal.h"
#include "core/words.h"

enum { Q30 = 1 << 30, MAX_GB = 7, DEFAULT_GB = 4 };

static int set_lr(nitic_hyper *h, const char *text) {
  nitic_fraction value;
  if (!nitic_fraction_parse(text, &value))
    return nitic_fail(NITIC_USAGE, "--lr takes a number like 0.015625, 1e-3 or 2^-6, not '%s'", text);
  nitic_rate rate = nitic_rate_round(value, Q30);
  if (rate.m != 0 && (rate.k < -10 || rate.k > 60))
    return nitic_fail(NITIC_USAGE, "--lr takes at most 1024 and no less than about 1e-12, not '%s'", text);
  h->lr = value;
  return NITIC_OK;
}

static int set_momentum(nitic_hyper *h, const char *text) {
  nitic_fraction value;
  int64_t of_256 = nitic_fraction_parse(text, &value) ? nitic_fraction_fixed(value, 8) : -1;
  if (of_256 < 0 || of_256 > 255)
    return nitic_fail(NITIC_USAGE, "--momentum takes a number from 0 to 0.998, not '%s'", text);
  h->momentum = (int32_t)of_256;
  return NITIC_OK;
}

/* The power of two nearest to the number, as for a rate; for rules with moments the number in Q30. */
static int set_decay(nitic_hyper *h, const char *text) {
  nitic_fraction value;
  int64_t fixed = nitic_fraction_parse(text, &value) ? nitic_fraction_fixed(value, 30) : -1;
  if (fixed < 0 || (fixed == 0 && value.num != 0))
    return nitic_fail(NITIC_USAGE, "--weight-decay takes 0 or a number from 1e-9 to 1, not '%s'", text);
  h->decay_q30 = fixed;
  h->decay = fixed == 0 ? -1 : nitic_rate_log2(nitic_rate_round(value, Q30));
  return NITIC_OK;
}

/* A whole number at *text, which moves past it; -1 when there is none below 10^9. */
static int64_t take_number(const char **text) {
  const char *at = *text;
  int64_t value = 0;
  for (; *at >= '0' && *at <= '9' && value < 100000000; at++)
    value = value * 10 + (*at - '0');
  bool good = at > *text && !(*at >= '0' && *at <= '9');
  *text = at;
  return good ? value : -1;
}

static int set_warmup(nitic_hyper *h, const char *text) {
  const char *at = text;
  int64_t steps = take_number(&at);
  if (steps < 0 || *at != 0)
    return nitic_fail(NITIC_USAGE, "--warmup takes a whole number of steps below 10^9, not '%s'", text);
  h->warmup = steps;
  return NITIC_OK;
}

static bool take(const char **text, char c) {
  bool found = **text == c;
  *text += found;
  return found;
}

/* "3,4:0.5" */
static bool parse_steps(nitic_hyper *h, const char *text) {
  h->schedule = NITIC_STEPS;
  h->step_count = 0;
  do {
    int64_t epoch = take_number(&text);
    if (epoch < 0 || h->step_count == NITIC_MAX_SCHEDULE || (h->step_count && epoch <= h->steps[h->step_count - 1]))
      return false;
    h->steps[h->step_count++] = epoch;
  } while (take(&text, ','));
  nitic_fraction factor;
  int64_t q30 = take(&text, ':') && nitic_fraction_parse(text, &factor) ? nitic_fraction_fixed(factor, 30) : -1;
  h->factor_q30 = (uint32_t)q30;
  return q30 > 0;
}

static bool parse_schedule(nitic_hyper *h, const char *text) {
  if (nitic_same(text, "constant")) {
    h->schedule = NITIC_CONSTANT;
    return true;
  }
  if (nitic_take_word(&text, "step:"))
    return parse_steps(h, text);
  if (!nitic_take_word(&text, "cosine"))
    return false;
  nitic_fraction least = {.num = 0, .den = 1};
  int64_t q30 =
      *text == 0 || (take(&text, ':') && nitic_fraction_parse(text, &least)) ? nitic_fraction_fixed(least, 30) : -1;
  h->schedule = NITIC_COSINE;
  h->factor_q30 = (uint32_t)q30;
  return q30 >= 0;
}

static int set_schedule(nitic_hyper *h, const char *text) {
  nitic_hyper parsed = *h;
  if (!parse_schedule(&parsed, text))
    return nitic_fail(
        NITIC_USAGE,
        "--schedule takes constant, step:EPOCH,...:FACTOR (epochs from 0, rising; for instance step:3,4:0.5) "
        "or cosine[:LEAST FACTOR], not '%s'",
        text);
  *h = parsed;
  return NITIC_OK;
}

/* "4,4,3,3,2" (one for each epoch, the last one stays) or "5@0,4@100,3@150" (value@first epoch). */
static bool parse_gb(nitic_hyper *h, const char *text) {
  bool with_epochs = false;
  for (const char *at = text; *at; at++)
    with_epochs |= *at == '@';
  h->gb_count = 0;
  if (nitic_same(text, "auto"))
    return true;
  do {
    int64_t value = take_number(&text), epoch = h->gb_count;
    if (with_epochs)
      epoch = take(&text, '@') ? take_number(&text) : -1;
    if (epoch < 0)
      return false;
    bool rises = h->gb_count ? epoch > h->gb[h->gb_count - 1].epoch : epoch == 0;
    if (value < 0 || value > MAX_GB || !rises || h->gb_count == NITIC_MAX_SCHEDULE)
      return false;
    h->gb[h->gb_count++] = (nitic_gb_entry){epoch, (int32_t)value};
  } while (take(&text, ','));
  return *text == 0;
}

static int set_gb(nitic_hyper *h, const char *text) {
  nitic_hyper parsed = *h;
  if (!parse_gb(&parsed, text))
    return nitic_fail(
        NITIC_USAGE,
        "--gb takes auto, values 0 to %d by epoch like 4,4,3,3,2, or by first epoch like 5@0,4@100,3@150, "
        "not '%s'",
        MAX_GB, text);
  *h = parsed;
  return NITIC_OK;
}

static int set_augment(nitic_hyper *h, const char *text) {
  nitic_augment parsed;
  if (!nitic_augment_parse(&parsed, text))
    return nitic_fail(
        NITIC_USAGE,
        "--augment takes none, or crop[:PIXELS] (1 to %d) or resized-crop, and flip, with commas; not '%s'",
        NITIC_MAX_PAD, text);
  h->augment = parsed;
  return NITIC_OK;
}

static const struct {
  const char *name;
  int (*set)(nitic_hyper *, const char *);
  size_t text;
} OPTIONS[] = {
    {"lr", set_lr, offsetof(nitic_hyper, lr_text)},
    {"momentum", set_momentum, offsetof(nitic_hyper, momentum_text)},
    {"schedule", set_schedule, offsetof(nitic_hyper, schedule_text)},
    {"warmup", set_warmup, offsetof(nitic_hyper, warmup_text)},
    {"gb", set_gb, offsetof(nitic_hyper, gb_text)},
    {"weight-decay", set_decay, offsetof(nitic_hyper, decay_text)},
    {"augment", set_augment, offsetof(nitic_hyper, augment_text)},
};
enum { OPTION_COUNT = sizeof OPTIONS / sizeof *OPTIONS };

int nitic_hyper_set(nitic_hyper *h, const char *option, const char *text) {
  for (int i = 0; i < OPTION_COUNT; i++) {
    if (!nitic_same(OPTIONS[i].name, option))
      continue;
    if (nitic_length(text) >= NITIC_OPTION_LENGTH)
      return nitic_fail(NITIC_USAGE, "--%s takes at most %d characters", option, NITIC_OPTION_LENGTH - 1);
    int status = OPTIONS[i].set(h, text);
    if (status == NITIC_OK)
      memcpy((char *)h + OPTIONS[i].text, text, nitic_length(text) + 1);
    return status;
  }
  return nitic_fail(NITIC_USAGE,
                    "there is no option '%s': lr, momentum, schedule, warmup, gb, weight-decay and augment exist",
                    option);
}

const char *nitic_hyper_text(const nitic_hyper *h, const char *option) {
  for (int i = 0; i < OPTION_COUNT; i++)
    if (nitic_same(OPTIONS[i].name, option))
      return (const char *)h + OPTIONS[i].text;
  return NULL;
}

void nitic_hyper_defaults(nitic_hyper *h, nitic_update_rule rule) {
  static const char *const rates[] = {
      [NITIC_PLAIN] = "2^-3", [NITIC_MOMENTUM] = "2^-6", [NITIC_BITS] = "2^-4", [NITIC_MOMENTS] = "2^-10"};
  *h = (nitic_hyper){.decay = -1};
  nitic_hyper_set(h, "lr", rates[rule]);
  nitic_hyper_set(h, "schedule", rule == NITIC_BITS ? "constant" : "cosine");
  nitic_hyper_set(h, "warmup", rule == NITIC_MOMENTS ? "100" : "0");
  nitic_hyper_set(h, "momentum", rule == NITIC_MOMENTUM ? "0.9" : "0");
  nitic_hyper_set(h, "weight-decay", "0");
  nitic_hyper_set(h, "gb", "auto");
  nitic_hyper_set(h, "augment", "none");
}

/* cos(pi/2 * epoch/epochs) in Q30, by its power series; every product is of non-negative numbers below 2^62. */
static uint64_t cosine_q30(uint64_t epoch, uint64_t epochs) {
  const uint64_t half_pi = 1686629713; /* round(pi/2 * 2^30) */
  uint64_t angle = half_pi * epoch / epochs, square = angle * angle >> 30, term = Q30, positive = Q30, negative = 0;
  for (uint64_t i = 1; i <= 8; i++) {
    term = (term * square >> 30) / ((2 * i - 1) * (2 * i));
    *(i % 2 ? &negative : &positive) += term;
  }
  return positive > negative ? positive - negative : 0;
}

/* least + (1 - least) * (1 + cos(pi e/E)) / 2, where (1 + cos 2a) / 2 = cos(a)^2. */
static uint32_t cosine_factor(uint64_t least, uint64_t epoch, uint64_t epochs) {
  uint64_t cosine = cosine_q30(epoch, epochs), squared = cosine * cosine >> 30;
  return (uint32_t)(least + ((Q30 - least) * squared >> 30));
}

static uint32_t step_factor(const nitic_hyper *h, int64_t epoch) {
  uint64_t factor = Q30;
  for (int32_t i = 0; i < h->step_count && h->steps[i] <= epoch; i++)
    factor = (factor * h->factor_q30 + Q30 / 2) >> 30;
  return (uint32_t)factor;
}

static uint32_t factor_q30(const nitic_hyper *h, int64_t epoch, int64_t epochs) {
  if (h->schedule == NITIC_STEPS)
    return step_factor(h, epoch);
  if (h->schedule == NITIC_COSINE)
    return cosine_factor(h->factor_q30, (uint64_t)(epoch < epochs ? epoch : epochs), (uint64_t)epochs);
  return Q30;
}

static int32_t gb_of(const nitic_hyper *h, int64_t epoch, int64_t epochs) {
  if (h->gb_count == 0)
    return DEFAULT_GB - (5 * epoch >= 2 * epochs) - (5 * epoch >= 4 * epochs);
  int32_t gb = h->gb[0].value;
  for (int32_t i = 1; i < h->gb_count && h->gb[i].epoch <= epoch; i++)
    gb = h->gb[i].value;
  return gb;
}

static int32_t decay_shift(const nitic_hyper *h, nitic_rate rate) {
  if (h->decay < 0 || rate.m == 0)
    return NITIC_NO_DECAY;
  int32_t shift = nitic_rate_log2(rate) + h->decay;
  return shift < NITIC_NO_DECAY ? shift : NITIC_NO_DECAY;
}

/* rate * weight decay in Q24, at most 1; the product of the mantissas is below 2^38. */
static int32_t shrink_q24(const nitic_hyper *h, nitic_rate rate) {
  uint64_t product = (uint64_t)rate.m * (uint64_t)h->decay_q30;
  int32_t shift = rate.k + 6;
  uint64_t shrink = shift <= 0    ? product << -shift
                    : shift <= 40 ? (product + (UINT64_C(1) << (shift - 1))) >> shift
                                  : 0;
  return shrink < 1 << 24 ? (int32_t)shrink : 1 << 24;
}

int nitic_hyper_values(const nitic_hyper *h, int32_t batch, int64_t epoch, int64_t epochs, int64_t step,
                       nitic_values *values) {
  if (epoch < 0 || epochs < 1 || epochs > 1000000000)
    return nitic_fail(NITIC_USAGE, "epoch %lld of %lld makes no sense", (long long)epoch, (long long)epochs);
  uint64_t factor = factor_q30(h, epoch, epochs);
  if (step < h->warmup)
    factor = factor * (uint64_t)(step + 1) / (uint64_t)h->warmup;
  nitic_rate unscaled = nitic_rate_round(h->lr, (uint32_t)factor);
  *values = (nitic_values){
      .unscaled = unscaled,
      .rate = nitic_rate_scale(unscaled, batch),
      .momentum = h->momentum,
      .decay = decay_shift(h, unscaled),
      .gb = gb_of(h, epoch, epochs),
      .shrink = shrink_q24(h, unscaled),
  };
  return NITIC_OK;
}

/* Whether the program uses the option; it always uses --lr and --schedule. */
static bool applies(const nitic_session *s, const char *option) {
  if (nitic_same(option, "gb"))
    return nitic_tensor_of(s->program, NITIC_HYPER, "gb") != NULL;
  if (nitic_same(option, "momentum"))
    return s->program->momentum != 0;
  if (nitic_same(option, "weight-decay"))
    return s->program->momentum != 0 || nitic_tensor_of(s->program, NITIC_HYPER, "shrink") != NULL;
  return true;
}

int nitic_configure(nitic_session *s, const char *option, const char *text) {
  if (!applies(s, option))
    return nitic_fail(NITIC_USAGE, "--%s has no meaning here: recipe %s%s does not use it", option, s->program->recipe,
                      s->program->momentum ? "" : " without momentum");
  return nitic_hyper_set(&s->hyper, option, text);
}

const char *nitic_configuration(const nitic_session *s, const char *option) {
  const char *text = nitic_hyper_text(&s->hyper, option);
  return text && !applies(s, option) ? "" : text;
}
