/* core/fraction.c: decimal text to exact fractions, and those to rates m * 2^-k. No floating point. */
#include "core/hyper.h"
#include "core/internal.h"
#include "core/words.h"

enum { MAX_DIGITS = 9, MAX_TENS = 12, RATE_BITS = 8 };

/* A whole number of at most 4 digits, with sign. */
static bool parse_exponent(const char **text, int32_t *exponent) {
  const char *at = *text;
  bool negative = *at == '-';
  at += *at == '-' || *at == '+';
  const char *digits = at;
  int32_t value = 0;
  for (; *at >= '0' && *at <= '9' && at - digits < 4; at++)
    value = value * 10 + (*at - '0');
  *exponent = negative ? -value : value;
  *text = at;
  return at > digits;
}

/* Digits with at most one point: value = *digits * 10^*tens. Leading zeros do not count against the limit. */
static bool parse_digits(const char **text, uint64_t *digits, int32_t *tens) {
  const char *at = *text;
  int32_t seen = 0, significant = 0, after_point = 0;
  bool point = false;
  for (*digits = 0; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
    if (*at == '.') {
      point = true;
      continue;
    }
    *digits = *digits * 10 + (uint64_t)(*at - '0');
    seen++;
    after_point += point;
    significant += *digits != 0;
    if (significant > MAX_DIGITS || after_point > MAX_TENS)
      return false;
  }
  *tens = -after_point;
  *text = at;
  return seen > 0;
}

static bool apply_tens(nitic_fraction *value, int32_t tens) {
  if (value->num == 0)
    return true;
  if (tens < -MAX_TENS || tens > MAX_TENS)
    return false;
  for (int32_t i = 0; i < tens && value->num <= UINT32_MAX; i++)
    value->num *= 5;
  for (int32_t i = 0; i < -tens; i++)
    value->den *= 5;
  value->exponent = tens;
  return value->num <= UINT32_MAX;
}

bool nitic_fraction_parse(const char *text, nitic_fraction *value) {
  *value = (nitic_fraction){.num = 1, .den = 1};
  if (nitic_take_word(&text, "2^"))
    return parse_exponent(&text, &value->exponent) && *text == 0 && value->exponent >= -60 && value->exponent <= 30;
  int32_t tens, extra = 0;
  if (!parse_digits(&text, &value->num, &tens))
    return false;
  if (*text == 'e' || *text == 'E') {
    text++;
    if (!parse_exponent(&text, &extra))
      return false;
  }
  return *text == 0 && apply_tens(value, tens + extra);
}

static nitic_rate strip(uint64_t mantissa, int32_t k) {
  if (mantissa == 0)
    return (nitic_rate){0, 0};
  int zeros = nitic_bit_length(mantissa & (~mantissa + 1)) - 1;
  return (nitic_rate){(int32_t)(mantissa >> zeros), k - zeros};
}

/* num < 2^62 and den < 2^28, so that nothing here passes 2^63. */
nitic_rate nitic_rate_round(nitic_fraction value, uint32_t factor_q30) {
  uint64_t num = value.num * factor_q30, den = value.den;
  int32_t k = 30 - value.exponent;
  if (num == 0)
    return (nitic_rate){0, 0};
  for (; num >= den << RATE_BITS; k--)
    den *= 2;
  for (; num < den << (RATE_BITS - 1); k++)
    num *= 2;
  return strip((2 * num + den) / (2 * den), k);
}

/* primitives of numerics.md: q = div(m << (BL(N) + 15), N), rounded by R to 8 bits. */
nitic_rate nitic_rate_scale(nitic_rate rate, int32_t batch) {
  uint64_t n = (uint64_t)batch;
  uint64_t q = (2 * ((uint64_t)rate.m << (nitic_bit_length(n) + 15)) + n) / (2 * n);
  int s = nitic_bit_length(q) > RATE_BITS ? nitic_bit_length(q) - RATE_BITS : 0;
  if (s > 0)
    q = (q + ((uint64_t)1 << (s - 1))) >> s;
  return strip(q, rate.k + 16 - s);
}

int64_t nitic_fraction_fixed(nitic_fraction value, int bits) {
  int32_t shift = value.exponent + bits;
  uint64_t num = value.num, den = value.den;
  if (num == 0)
    return 0;
  for (; shift > 0 && num <= den << bits; shift--)
    num *= 2;
  for (; shift < 0 && den <= num << 1; shift++)
    den *= 2;
  uint64_t rounded = shift < 0 ? 0 : (2 * num + den) / (2 * den);
  return shift > 0 || rounded > (uint64_t)1 << bits ? -1 : (int64_t)rounded;
}

int32_t nitic_rate_log2(nitic_rate rate) {
  int floor = nitic_bit_length((uint64_t)rate.m) - 1;
  bool up = 2 * rate.m >= 3 << floor;
  return rate.k - floor - up;
}

int nitic_scaled_rate(const char *text, int32_t batch, int32_t *m, int32_t *k) {
  nitic_fraction value;
  if (!nitic_fraction_parse(text, &value) || batch < 1)
    return nitic_fail(NITIC_USAGE, "'%s' is no learning rate like 0.015625, 1e-3 or 2^-6", text);
  nitic_rate rate = nitic_rate_scale(nitic_rate_round(value, 1u << 30), batch);
  *m = rate.m;
  *k = rate.k;
  return NITIC_OK;
}
