/* toy_program.c: a hand-written program with the tensors of a real one, for tests of the runtime. Its weights become a
 * hash of everything a step sees (samples, labels, order, hyper-parameters, seed, step), so equal weights mean equal
 * runs.
 *
 * Macros: TOY_N batch, TOY_SHAPE sample shape as initialiser, TOY_RANK its rank + 1, TOY_F its elements, TOY_C
 * channels, TOY_GB recipe niti, TOY_SLEEP microseconds a training step takes, TOY_METRICS_SLEEP a step of evaluation,
 * TOY_FAIL a kernel that fails, TOY_ID identity. */
#include <unistd.h>

#include "nitic.h"

#ifndef TOY_N
#define TOY_N 4
#endif
#ifndef TOY_SHAPE
#define TOY_SHAPE 2, 3, 1
#define TOY_RANK 4
#define TOY_F 6
#define TOY_C 1
#endif
#ifndef TOY_ID
#define TOY_ID "00112233445566778899aabbccddeeff"
#endif
#ifdef TOY_GB
#define TOY_RECIPE "niti"
#else
#define TOY_RECIPE "niti16"
#endif

enum { CLASSES = 3 };

/* The arena, all offsets 64-byte aligned. Its first part is the state. */
#define UP(bytes) (((bytes) + 63) / 64 * 64)
enum {
  W = 0,
  V = W + UP(TOY_F * 2),
  W_EXPONENT = V + UP(TOY_F * 4),
  TOP = W_EXPONENT + 64,
  MULTIPLIER = TOP + 64,
  OFFSET = MULTIPLIER + UP(TOY_C * 4),
  INPUT_EXPONENT = OFFSET + UP(TOY_C * 4),
  STATE = INPUT_EXPONENT + 64,
  RATE_M = STATE,
  RATE_K = RATE_M + 64,
  MOMENTUM = RATE_K + 64,
  DECAY = MOMENTUM + 64,
  GB = DECAY + 64,
  STEP = GB + 64,
  SEED = STEP + 64,
  X = SEED + 64,
  LABEL = X + UP(TOY_N * TOY_F),
  LOSS = LABEL + UP(TOY_N * 4),
  CORRECT = LOSS + 64,
  LOGITS = CORRECT + 64,
  LOGITS_EXPONENT = LOGITS + UP(TOY_N * CLASSES),
  RANGE = LOGITS_EXPONENT + 64,
  VISITS = RANGE + NITIC_MAX_THREADS * 8,
  ARENA = VISITS + UP(1000 * 4)
};

static uint32_t mix(uint32_t h, int64_t value) {
  h = (h ^ (uint32_t)value) * 0x9E3779B1u;
  return (h ^ h >> 15) + (uint32_t)(value >> 32);
}

/* (w, v, x, label, rate_m, rate_k, momentum, decay, gb, step, seed, multiplier, offset): units are the features. */
static int32_t hash_step(void *const b[], const nitic_ctx *ctx) {
  int16_t *w = b[0];
  int32_t *v = b[1];
  const uint8_t *x = b[2];
  const int32_t *label = b[3];
  for (int32_t f = ctx->begin; f < ctx->end; f++) {
    uint32_t h = mix(mix((uint32_t)f, w[f]), v[f]);
    for (int n = 0; n < TOY_N; n++)
      h = mix(mix(h, x[n * TOY_F + f]), label[n]);
    for (int i = 4; i < 10; i++)
      h = mix(h, *(const int32_t *)b[i]);
    h = mix(h, *(const int64_t *)b[10]);
    h = mix(mix(h, ((const int32_t *)b[11])[f % TOY_C]), ((const int32_t *)b[12])[f % TOY_C]);
    w[f] = (int16_t)((int32_t)(h % 65535) - 32767);
    v[f] = (int32_t)(h >> 8);
  }
  return 0;
}

/* (x, range): a range slot for each thread, also where its share is empty. */
static int32_t range(void *const b[], const nitic_ctx *ctx) {
  const uint8_t *x = b[0];
  int64_t most = 0;
  for (int32_t i = ctx->begin; i < ctx->end; i++)
    most = x[i] > most ? x[i] : most;
  ((int64_t *)b[1])[ctx->thread] = most;
  return 0;
}

/* (range, top): thread 0 writes scalars. */
static int32_t top(void *const b[], const nitic_ctx *ctx) {
  int64_t most = 0;
  for (int i = 0; i < NITIC_MAX_THREADS; i++)
    most = ((const int64_t *)b[0])[i] > most ? ((const int64_t *)b[0])[i] : most;
  if (ctx->thread == 0)
    *(int32_t *)b[1] = (int32_t)most * 256;
  return 0;
}

/* (x, logits, logits exponent): class = first pixel mod CLASSES; units are the samples. */
static int32_t logits(void *const b[], const nitic_ctx *ctx) {
  const uint8_t *x = b[0];
  int8_t *o = b[1];
  for (int32_t n = ctx->begin; n < ctx->end; n++)
    for (int c = 0; c < CLASSES; c++)
      o[n * CLASSES + c] = x[n * TOY_F] % CLASSES == c ? 100 : (int8_t)-c;
  if (ctx->thread == 0)
    *(int32_t *)b[2] = -4;
  return 0;
}

/* (logits, label, loss, correct): one unit; a wrong answer costs one bit. */
static int32_t metrics(void *const b[], const nitic_ctx *ctx) {
  const int8_t *o = b[0];
  const int32_t *label = b[1];
  int64_t loss = 0;
  int32_t correct = 0;
  for (int n = 0; n < TOY_N && ctx->end > ctx->begin; n++) {
    if (label[n] < 0)
      continue;
    int right = o[n * CLASSES + label[n]] == 100;
    correct += right;
    loss += right ? 0 : 256;
  }
#ifdef TOY_METRICS_SLEEP
  if (ctx->thread == 0)
    usleep(TOY_METRICS_SLEEP);
#endif
  if (ctx->end > ctx->begin) {
    *(int64_t *)b[2] = loss;
    *(int32_t *)b[3] = correct;
  }
  return 0;
}

/* (visits): counts how often each unit is done, to show that the shares of threads are disjoint and complete. */
static int32_t visit(void *const b[], const nitic_ctx *ctx) {
  for (int32_t i = ctx->begin; i < ctx->end; i++)
    ((int32_t *)b[0])[i]++;
#ifdef TOY_SLEEP
  if (ctx->thread == 0)
    usleep(TOY_SLEEP);
#endif
#ifdef TOY_FAIL
  return ctx->thread == 0;
#endif
  return 0;
}

static const uint64_t hash_buffers[] = {W,     V,  X,    LABEL, RATE_M,     RATE_K, MOMENTUM,
                                        DECAY, GB, STEP, SEED,  MULTIPLIER, OFFSET};
static const uint64_t range_buffers[] = {X, RANGE}, top_buffers[] = {RANGE, TOP};
static const uint64_t logits_buffers[] = {X, LOGITS, LOGITS_EXPONENT};
static const uint64_t metrics_buffers[] = {LOGITS, LABEL, LOSS, CORRECT}, visit_buffers[] = {VISITS};

#define HASH {hash_step, "hash_step", hash_buffers, 13, TOY_F, 1, 1}
#define RANGE_CALL {range, "range", range_buffers, 2, TOY_N * TOY_F, 1, 1}
#define TOP_CALL {top, "top", top_buffers, 2, 1, 1, 1}
#define LOGITS_CALL {logits, "logits", logits_buffers, 3, TOY_N, 1, 1}
#define METRICS {metrics, "metrics", metrics_buffers, 4, 1, 1, 1}
#define VISIT {visit, "visit", visit_buffers, 1, 1000, 64, 1}

static const nitic_call train_calls[] = {LOGITS_CALL, METRICS, RANGE_CALL, TOP_CALL, HASH, VISIT};
static const nitic_call eval_calls[] = {LOGITS_CALL, METRICS};
static const nitic_call calibrate_calls[] = {RANGE_CALL, TOP_CALL};

#define SCALAR(name, role, dtype, bytes, offset) {name, role, dtype, 0, {0}, offset, bytes}
static const nitic_tensor tensors[] = {
    {"w", NITIC_MASTER, NITIC_I16, 1, {TOY_F}, W, TOY_F * 2},
    {"w.velocity", NITIC_VELOCITY, NITIC_I32, 1, {TOY_F}, V, TOY_F * 4},
    SCALAR("w.exponent", NITIC_EXPONENT, NITIC_I32, 4, W_EXPONENT),
    SCALAR("y.top", NITIC_STATISTIC, NITIC_I32, 4, TOP),
    {"input.multiplier", NITIC_STATISTIC, NITIC_I32, 1, {TOY_C}, MULTIPLIER, TOY_C * 4},
    {"input.offset", NITIC_STATISTIC, NITIC_I32, 1, {TOY_C}, OFFSET, TOY_C * 4},
    SCALAR("input.exponent", NITIC_EXPONENT, NITIC_I32, 4, INPUT_EXPONENT),
    SCALAR("rate_m", NITIC_HYPER, NITIC_I32, 4, RATE_M),
    SCALAR("rate_k", NITIC_HYPER, NITIC_I32, 4, RATE_K),
    SCALAR("momentum", NITIC_HYPER, NITIC_I32, 4, MOMENTUM),
    SCALAR("decay", NITIC_HYPER, NITIC_I32, 4, DECAY),
#ifdef TOY_GB
    SCALAR("gb", NITIC_HYPER, NITIC_I32, 4, GB),
#endif
    SCALAR("step", NITIC_HYPER, NITIC_I32, 4, STEP),
    SCALAR("seed", NITIC_HYPER, NITIC_I64, 8, SEED),
    {"x", NITIC_INPUT, NITIC_U8, TOY_RANK, {TOY_N, TOY_SHAPE}, X, TOY_N * TOY_F},
    {"label", NITIC_LABEL, NITIC_I32, 1, {TOY_N}, LABEL, TOY_N * 4},
    SCALAR("loss", NITIC_METRIC, NITIC_I64, 8, LOSS),
    SCALAR("correct", NITIC_METRIC, NITIC_I32, 4, CORRECT),
    {"logits", NITIC_OUTPUT, NITIC_I8, 2, {TOY_N, CLASSES}, LOGITS, TOY_N * CLASSES},
    SCALAR("logits.exponent", NITIC_OUTPUT, NITIC_I32, 4, LOGITS_EXPONENT),
    {"visits", NITIC_OUTPUT, NITIC_I32, 1, {1000}, VISITS, 4000},
};

#define FUNCTIONS                                                                                                      \
  {                                                                                                                    \
    {train_calls, 6, NULL}, {eval_calls, 2, NULL}, {eval_calls, 1, NULL}, { calibrate_calls, 2, NULL }                 \
  }
#ifndef TOY_ONLY_PORTABLE
static const nitic_requirement avx512vnni_needs[] = {TOY_AVX512VNNI};
#endif
static const nitic_variant variants[] = {
#ifndef TOY_ONLY_PORTABLE
    {"avx512vnni", ARENA, FUNCTIONS, NULL, avx512vnni_needs, sizeof avx512vnni_needs / sizeof *avx512vnni_needs},
#endif
    {"portable", ARENA + 1000, FUNCTIONS, NULL, NULL, 0},
};

static union {
  struct {
    _Alignas(64) int16_t w[UP(TOY_F * 2) / 2];
    int32_t v[UP(TOY_F * 4) / 4], exponent[16], top[16];
  } values;
  uint8_t bytes[STATE];
} const initial = {.values = {.w = {5, -3}, .exponent = {-12}, .top = {NITIC_NEVER}}};

static const nitic_input input = {"x", TOY_RANK - 1, {TOY_SHAPE}, 0, TOY_F};

const nitic_program nitic_program_instance = {
    .abi_version = NITIC_ABI_VERSION,
    .model = "toy.onnx",
    .recipe = TOY_RECIPE,
    .identity = TOY_ID,
    .compiler = "nitic test",
#ifndef TOY_GB
    .momentum = 1,
#endif
    .batch = TOY_N,
    .classes = CLASSES,
    .inputs = &input,
    .input_count = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
    .variants = variants,
    .variant_count = sizeof variants / sizeof *variants,
    .initial_state = initial.bytes,
    .initial_bytes = STATE,
    .state_bytes = STATE,
};
