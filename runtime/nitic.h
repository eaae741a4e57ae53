/* nitic.h: the public C interface of a compiled training program.
 *
 * A program is constant data: named tensors at fixed offsets of one arena, and for each function (train_step,
 * eval_step, predict, calibrate) a table of kernel calls. Nothing is parsed at start. */
#ifndef NITIC_H
#define NITIC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NITIC_ABI_VERSION 6
#define NITIC_MAX_RANK 6
#define NITIC_MAX_THREADS 64            /* also the number of per-thread slots (int64) of a range */
#define NITIC_APART (UINT64_C(1) << 62) /* in an offset: from the start of the constants, not of the arena */
#define NITIC_NEVER INT32_MIN           /* value of a `top` statistic that no training step has set */

typedef enum { NITIC_U8, NITIC_I8, NITIC_I16, NITIC_I32, NITIC_I64 } nitic_dtype;

typedef enum {
  NITIC_INPUT,    /* samples of a batch, NHWC uint8 */
  NITIC_LABEL,    /* int32 class per sample; -1 marks a row that does not count */
  NITIC_HYPER,    /* scalars the runtime sets before a step: rate_m, rate_k, momentum, decay, gb, lr_m, lr_k, shrink,
                     seed, step */
  NITIC_WEIGHT,   /* int8 parameter of a pure int8 recipe */
  NITIC_MASTER,   /* int16 parameter */
  NITIC_VELOCITY, /* int32 momentum of a master */
  NITIC_FIRST_MOMENT,  /* int16 running mean of the gradient of a master */
  NITIC_SECOND_MOMENT, /* int32 running mean of its square */
  NITIC_EXPONENT,      /* int32 exponent of a parameter or of the input */
  NITIC_STATISTIC,     /* `top` of an activation (its largest exponent); input.multiplier and input.offset */
  NITIC_FROZEN,        /* int8 parameter that training does not change */
  NITIC_METRIC,        /* loss (int64, sum over the batch), correct (int32) */
  NITIC_OUTPUT         /* logits (int8) and logits.exponent (int32) */
} nitic_role;

/* A named tensor of the program. The state (what a checkpoint holds) is every WEIGHT, MASTER, VELOCITY, EXPONENT,
 * STATISTIC, FROZEN, FIRST_MOMENT, SECOND_MOMENT. */
typedef struct {
  const char *name;
  uint32_t role;  /* nitic_role: an enum has other sizes by other compilers for one machine */
  uint32_t dtype; /* nitic_dtype */
  uint32_t rank;
  int64_t shape[NITIC_MAX_RANK];
  uint64_t offset; /* bytes from the start of the arena, or NITIC_APART and from that of the constants */
  uint64_t bytes;
} nitic_tensor;

/* One of the inputs, and where its part of a sample lies; parts lie one behind the other. */
typedef struct {
  const char *name;
  uint32_t rank; /* 3: height, width, channels; 1: features */
  int64_t shape[NITIC_MAX_RANK];
  uint64_t offset, bytes; /* in a sample */
} nitic_input;

/* The share of one thread in one kernel call: units [begin, end). Every thread makes every call, also where its share
 * is empty. */
typedef struct {
  int32_t thread;
  int32_t begin;
  int32_t end;
} nitic_ctx;

typedef int32_t nitic_kernel(void *const buffers[], const nitic_ctx *ctx);

typedef struct {
  nitic_kernel *kernel;
  const char *name;
  const uint64_t *buffers; /* arena offsets, in the order of the kernel's parameters */
  uint32_t buffer_count;
  int32_t units;        /* how many independent pieces of work the call has */
  int32_t grain;        /* every share but the last is a multiple of so many of them */
  int32_t starts_phase; /* 1 where every thread must have finished the calls before */
} nitic_call;

/* How a call starts on a GPU. The arguments of its kernel are the addresses of its buffers, and then its units. */
typedef struct {
  const char *kernel; /* its name in the machine code */
  uint32_t blocks, threads;
  uint32_t shared;        /* bytes of dynamic shared memory */
  int32_t follows;        /* 1 where it waits for the call before it, although both are of one phase */
  const uint64_t *zeroed; /* memory that must be zero when it starts: offset, bytes, offset, ... */
  uint32_t zeroed_count;  /* pairs */
} nitic_launch;

typedef struct {
  const nitic_call *calls;
  uint32_t call_count;
  const nitic_launch *launches; /* of each call; NULL: `kernel` is a function of the CPU */
} nitic_function;

/* What a variant for GPUs has besides its functions. */
typedef struct {
  uint64_t ranges, range_bytes; /* offset and size of the ranges, which must be zero when a function starts */
  nitic_launch gather;          /* copies the samples of a batch from a data set in the GPU's memory */
  const uint8_t *image;         /* the kernels: a fat binary */
} nitic_gpu;

typedef enum { NITIC_TRAIN_STEP, NITIC_EVAL_STEP, NITIC_LOGITS, NITIC_CALIBRATION, NITIC_KINDS } nitic_kind;

/* Where a processor says what it has: CPUID, or the registers that the operating system saves (XCR0); on others, what
 * Linux says of it (AT_HWCAP). */
typedef enum { NITIC_CPUID, NITIC_XCR0, NITIC_HWCAP } nitic_feature_source;

/* All of `bits` must be set there. Of CPUID that is a leaf, a subleaf, and a register: EAX 0, EBX 1, ECX 2, EDX 3. */
typedef struct {
  uint32_t source; /* nitic_feature_source */
  uint32_t bits;
  uint32_t leaf, subleaf, reg;
} nitic_requirement;

/* One set of kernels. Variants differ in packing and scratch, never in tensors, state or results. */
typedef struct {
  const char *name;     /* as nitic/targets has it */
  uint64_t arena_bytes; /* 64-byte aligned memory the variant needs */
  nitic_function functions[NITIC_KINDS];
  const nitic_gpu *gpu;           /* NULL: it runs on a CPU */
  const nitic_requirement *needs; /* of that CPU */
  uint32_t need_count;
} nitic_variant;

typedef struct {
  uint32_t abi_version;
  const char *model;    /* name of the ONNX file */
  const char *recipe;   /* "niti16" or "niti" */
  const char *identity; /* hexadecimal SHA-256 of the program's meaning; a checkpoint of another identity is refused */
  const char *compiler; /* "nitic 0.1.0" */
  int32_t momentum;     /* 1 when the update has a velocity */
  int32_t batch, classes;
  int32_t normalised;        /* 1 when input.multiplier and input.offset were fixed at compile time */
  const nitic_input *inputs; /* what a sample consists of */
  uint32_t input_count;
  const nitic_tensor *tensors;
  uint32_t tensor_count;
  const nitic_variant *variants; /* best first */
  uint32_t variant_count;
  /* The first initial_bytes bytes of the arena, numbers with their lowest byte first; the rest of the state starts as
   * zeros. */
  const uint8_t *initial_state;
  uint64_t initial_bytes;
  uint64_t state_bytes;     /* all state tensors lie in the first state_bytes bytes of the arena */
  int32_t squared_error;    /* 1 where the loss is a sum of squares in Q16, not of bits in Q8 */
  const uint8_t *constants; /* frozen parameters whose offset has NITIC_APART set; NULL: all lie in the arena */
} nitic_program;

/* ---- the session: a program, its memory and its threads. Every function that returns int gives 0 or one of these
 * codes (the exit codes of the command line too), and nitic_last_error() then has the sentence. A session belongs to
 * one thread at a time. After fork() the child has a copy of it that works, if it runs on a CPU. */

#pragma GCC visibility push(default)

/* The program that an executable or library was made with. */
extern const nitic_program nitic_program_instance;

enum {
  NITIC_OK = 0,
  NITIC_RUNTIME = 1,     /* input or output failed, no memory, a kernel failed */
  NITIC_USAGE = 2,       /* an option or argument that makes no sense */
  NITIC_UNSUPPORTED = 3, /* this CPU or this runtime cannot run the program */
  NITIC_MISMATCH = 4,    /* data or checkpoint of another shape, kind or program */
  NITIC_INTERRUPTED = 130
};

typedef struct nitic_session nitic_session;

/* Sums over the rows of a batch that have a label. */
typedef struct {
  int64_t loss; /* bits in Q8, or squares in Q16: nitic_program.squared_error */
  int64_t correct;
  int64_t count;
} nitic_metrics;

/* How far a training run has come; a checkpoint holds it. nitic_step advances `step` and `epoch_step`, the rest is the
 * caller's. */
typedef struct {
  int64_t seed;
  int64_t epochs;        /* of the whole run: cosine schedules need it */
  int64_t epoch;         /* finished epochs */
  int64_t epoch_step;    /* finished steps of the current epoch */
  int64_t step;          /* finished steps of the run */
  int64_t samples;       /* of the training set; 0 = unknown */
  nitic_metrics running; /* sums over the finished steps of this epoch */
} nitic_progress;

/* The sentence of the calling thread's last error. */
const char *nitic_last_error(void);

/* threads: 1 to 64, 0 = cores available. variant: NULL = $NITIC_VARIANT or else the best that this CPU supports. */
int nitic_session_create(const nitic_program *program, int threads, const char *variant, nitic_session **session);
void nitic_session_destroy(nitic_session *session);
const char *nitic_session_variant(const nitic_session *session);
int nitic_session_threads(const nitic_session *session);
nitic_progress *nitic_session_progress(nitic_session *session);

/* The description and the memory of a named tensor, or NULL. The memory is the session's own, so writing to it changes
 * the state. The address holds until the next step: then ask again. NULL, too, for what NITIC_APART marks. */
const nitic_tensor *nitic_tensor_find(const nitic_program *program, const char *name);
void *nitic_session_tensor(nitic_session *session, const char *name);

/* How many labels there are, from 0: the classes, or where squares of one number are made small, NITIC_NUMBERS. */
enum { NITIC_NUMBERS = 128 };
int32_t nitic_label_count(const nitic_program *program);

/* Goes back to the initial state (weights as compiled, nothing trained). */
void nitic_session_reset(nitic_session *session);

/* Sets an option, in the command line's words: lr, momentum, schedule, warmup, gb, weight-decay or augment. The last
 * one changes what the command train reads; a caller of nitic_step brings samples that are already augmented. */
int nitic_configure(nitic_session *session, const char *option, const char *text);
/* An option as text: NULL when there is none of this name, "" where the program does not use it. */
const char *nitic_configuration(const nitic_session *session, const char *option);
/* Sets the hyper tensors for epoch `epoch` (from 0) of progress.epochs. */
int nitic_begin_epoch(nitic_session *session, int64_t epoch);
/* Sets one hyper tensor, until the next nitic_begin_epoch; a rate that still rises, until the next step. */
int nitic_set_hyper(nitic_session *session, const char *name, int64_t value);

/* 1 when the program needs no input statistics or has them already. */
int nitic_session_normalised(const nitic_session *session);
/* Sets input.multiplier and input.offset from `count` training samples (uint8, NHWC, contiguous; of several inputs the
 * parts one behind the other), unless they were fixed at compile time. */
int nitic_set_statistics(nitic_session *session, const uint8_t *samples, int64_t count);
/* 1 when no step has set any `top`: then nitic_calibrate has to come before evaluation. */
int nitic_session_untrained(nitic_session *session);

/* One training step on exactly `batch` samples. samples and labels may be NULL: the input and label tensors are filled
 * already. */
int nitic_step(nitic_session *session, const uint8_t *samples, const int32_t *labels, nitic_metrics *metrics);
/* The next three take 1 to `batch` samples. The other rows of the batch repeat these and do not count. */
int nitic_eval(nitic_session *session, const uint8_t *samples, const int32_t *labels, int32_t count,
               nitic_metrics *metrics);
/* logits: count x classes mantissas at *exponent. Either may be NULL. */
int nitic_predict(nitic_session *session, const uint8_t *samples, int32_t count, int8_t *logits, int32_t *exponent);
/* Sets every `top` from one batch. */
int nitic_calibrate(nitic_session *session, const uint8_t *samples, int32_t count);

/* A checkpoint holds state, progress and configuration. Saving replaces `path` in one go or leaves it as it was;
 * loading changes the session only when the whole file is good. nitic_checkpoint_probe says whether a save to `path`
 * could work. */
int nitic_checkpoint_save(nitic_session *session, const char *path);
int nitic_checkpoint_load(nitic_session *session, const char *path);
int nitic_checkpoint_probe(const char *path);

/* The order in which epoch `epoch` of a run with `seed` visits `count` samples: order[0 .. count). */
int nitic_shuffle(int64_t count, int64_t seed, int64_t epoch, int64_t *order);

/* A learning rate with the scale of the loss folded in: rate * 2^floor(log2 N) / N = m * 2^-k for a batch of N, with m
 * odd and below 256. */
int nitic_scaled_rate(const char *text, int32_t batch, int32_t *m, int32_t *k);

/* A checkpoint as bytes. A sink takes so many more of them; a source gives so many from `offset` on, and is asked for
 * each at least twice. Both give 0, or a code that ends the call and is what it gives. Reading takes a checkpoint as
 * nitic_checkpoint_write and nitic_checkpoint_save write it; the session stays as it was, unless a source that has
 * given the whole checkpoint before fails in the end. */
typedef int nitic_sink(void *context, const void *bytes, size_t count);
typedef int nitic_source(void *context, uint64_t offset, void *bytes, size_t count);
int nitic_checkpoint_write(nitic_session *session, nitic_sink *sink, void *context);
int nitic_checkpoint_read(nitic_session *session, nitic_source *source, void *context);

/* ---- without a heap, an operating system or libc, on one thread: what `--target cortex-m4` and its like, and `make
 * bare.a` of `--target c`, have in the place of nitic_session_create and _destroy, and of the paths of checkpoints. The
 * sentence of nitic_last_error names no values there. */

enum { NITIC_SESSION_BYTES = 4096 }; /* of a session beside its arena */
/* How many bytes of memory a session of a program takes. */
uint64_t nitic_session_bytes(const nitic_program *program);
/* A session in memory of the caller, from a multiple of 64 bytes on. It ends with the memory. */
int nitic_session_at(const nitic_program *program, void *memory, uint64_t bytes, nitic_session **session);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
