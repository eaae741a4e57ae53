/* cli/options.c: see options.h. One table says which options exist, what they take and which commands know them. */
#include "cli/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TRAIN = 1 << NITIC_TRAIN, EVAL = 1 << NITIC_EVAL, PREDICT = 1 << NITIC_PREDICT, INFO = 1 << NITIC_INFO };
enum { ALL = TRAIN | EVAL | PREDICT | INFO };

typedef struct {
  const char *name, *value;
  size_t field;
  int commands;
  bool number;
  int64_t least, most;
  const char *help;
} option;

#define TEXT(name, value, field, commands, help)                                                                       \
  {name, value, offsetof(nitic_options, field), commands, false, 0, 0, help}
#define NUMBER(name, field, commands, least, most, help)                                                               \
  {name, "N", offsetof(nitic_options, field), commands, true, least, most, help}

static const option OPTIONS[] = {
    TEXT("data", "DIR", data, TRAIN | EVAL | PREDICT,
         "data set: IDX, CIFAR-10 binary, .npy or packed images; predict takes one file too"),
    TEXT("load", "FILE", load, EVAL | PREDICT | INFO, "checkpoint to use (default: the weights in this program)"),
    NUMBER("epochs", epochs, TRAIN, 1, 1000000, "epochs of the whole run (default 5)"),
    NUMBER("seed", seed, TRAIN, 0, INT64_MAX,
           "seed of shuffle, dropout and rounding (default 1; `nitic compile --seed` is another one)"),
    TEXT("save", "FILE", save, TRAIN, "checkpoint to write after each epoch and when interrupted"),
    NUMBER("save-every", save_every, TRAIN, 1, INT64_MAX, "write the checkpoint after every N steps too"),
    TEXT("resume", "FILE", resume, TRAIN,
         "checkpoint to go on from; it brings seed, epochs, rates and schedules along"),
    TEXT("lr", "RATE", lr, TRAIN, "learning rate: 0.015625, 1e-3 or 2^-6"),
    TEXT("momentum", "M", momentum, TRAIN, "momentum (default 0.9), kept in 256ths"),
    TEXT("schedule", "S", schedule, TRAIN,
         "constant, step:3,4:0.5 (epochs from 0), cosine or cosine:0.01 (least factor)"),
    TEXT("warmup", "STEPS", warmup, TRAIN,
         "steps in which the rate rises to its first value (default 0; 100 for iadam and ilion)"),
    TEXT("gb", "BITS", gb, TRAIN, "recipe niti: bits of an update: auto, 4,4,3,3,2 by epoch, or 5@0,4@100,3@150"),
    TEXT("weight-decay", "D", weight_decay, TRAIN,
         "weight decay (default 0); with momentum, rounded to a power of two"),
    TEXT("augment", "A", augment, TRAIN,
         "what training does to images: crop:4,flip or resized-crop,flip (default none)"),
    TEXT("log", "FILE", log, TRAIN, "JSON lines: one for each interval and epoch"),
    NUMBER("log-every", log_every, TRAIN, 1, INT64_MAX, "steps of an interval (default 100)"),
    TEXT("split", "S", split_name, EVAL | PREDICT, "test (default) or train"),
    TEXT("output", "FILE", output, PREDICT, "classes as int32 .npy instead of lines on standard output"),
    TEXT("logits", "FILE", logits, PREDICT, "logits as int8 .npy; their exponent is printed"),
    NUMBER("threads", threads, ALL, 1, NITIC_MAX_THREADS,
           "threads, 1 to 64 (default: all cores, or 1 where that measures faster)"),
    TEXT("variant", "NAME", variant, ALL,
         "kernels to run; NITIC_VARIANT does the same (default: the best for this CPU)"),
};
enum { OPTION_COUNT = sizeof OPTIONS / sizeof *OPTIONS };

static const char *const COMMANDS[] = {"train", "eval", "predict", "info"};

void nitic_options_help(FILE *to, const char *program, const char *model) {
  fprintf(to,
          "%s: trains and runs %s with integers alone.\n\n"
          "  %s train --data DIR [--epochs N] [--save FILE] [--resume FILE] ...\n"
          "  %s eval --data DIR [--load FILE]\n"
          "  %s predict --data DIR|FILE [--load FILE] [--output FILE]\n"
          "  %s info [--load FILE]\n\n",
          program, model, program, program, program, program);
  for (int i = 0; i < OPTION_COUNT; i++) {
    char left[40];
    snprintf(left, sizeof left, "--%s %s", OPTIONS[i].name, OPTIONS[i].value);
    fprintf(to, "  %-20s %s\n", left, OPTIONS[i].help);
  }
  fprintf(
      to,
      "\nDIR holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-...; or data_batch_1.bin, ..., "
      "test_batch.bin;\n"
      "x_train.npy, y_train.npy, x_test.npy, y_test.npy (uint8 or int8 samples, integer labels), of several inputs\n"
      "x_train.NAME.npy, x_test.NAME.npy each;\n"
      "or what `nitic data pack` makes of a folder of images.\n"
      "Results go to standard output, progress to standard error.\n"
      "Exit code: 0 done, 1 run-time error, 2 usage, 3 unsupported, 4 data or checkpoint does not match, 130 "
      "interrupted.\n");
}

/* A whole number without sign, in full. */
static bool parse_number(const char *text, int64_t *value) {
  uint64_t number = 0;
  if (*text == 0)
    return false;
  for (; *text >= '0' && *text <= '9'; text++) {
    if (number > (uint64_t)INT64_MAX / 10)
      return false;
    number = number * 10 + (uint64_t)(*text - '0');
  }
  *value = (int64_t)number;
  return *text == 0 && number <= INT64_MAX;
}

static int set_option(nitic_options *options, const option *o, const char *value) {
  void *field = (char *)options + o->field;
  if (!o->number) {
    *(const char **)field = value;
    return NITIC_OK;
  }
  int64_t number;
  if (!parse_number(value, &number) || number < o->least || number > o->most)
    return nitic_fail(NITIC_USAGE, "--%s takes a whole number from %lld to %lld, not '%s'", o->name,
                      (long long)o->least, (long long)o->most, value);
  *(int64_t *)field = number;
  return NITIC_OK;
}

/* `name` without the dashes, up to an equals sign. */
static const option *find_option(const char *name) {
  size_t length = strcspn(name, "=");
  for (int i = 0; i < OPTION_COUNT; i++)
    if (strlen(OPTIONS[i].name) == length && memcmp(OPTIONS[i].name, name, length) == 0)
      return &OPTIONS[i];
  return NULL;
}

/* Parses one option and moves past it: --name value or --name=value. */
static int take_option(nitic_options *options, char ***arguments) {
  const char *argument = *(*arguments)++;
  const option *o = strncmp(argument, "--", 2) == 0 ? find_option(argument + 2) : NULL;
  if (!o)
    return nitic_fail(NITIC_USAGE, "'%s' is no option; --help lists them", argument);
  if (!(o->commands & 1 << options->command))
    return nitic_fail(NITIC_USAGE, "%s does not take --%s", COMMANDS[options->command], o->name);
  const char *equals = strchr(argument, '='), *value = equals ? equals + 1 : **arguments;
  if (!value)
    return nitic_fail(NITIC_USAGE, "--%s needs a value: %s", o->name, o->help);
  *arguments += equals ? 0 : 1;
  return set_option(options, o, value);
}

static bool parse_command(nitic_options *options, const char *word) {
  for (int i = 0; i < NITIC_HELP; i++)
    if (strcmp(COMMANDS[i], word) == 0) {
      options->command = (nitic_command)i;
      return true;
    }
  return false;
}

static int check(nitic_options *options) {
  if (options->command != NITIC_INFO && !options->data)
    return nitic_fail(NITIC_USAGE, "%s needs --data", COMMANDS[options->command]);
  if (options->save_every > 0 && !options->save)
    return nitic_fail(NITIC_USAGE, "--save-every needs --save");
  const char *split = options->split_name ? options->split_name : "test";
  if (strcmp(split, "test") != 0 && strcmp(split, "train") != 0)
    return nitic_fail(NITIC_USAGE, "--split takes test or train, not '%s'", split);
  options->split = split[1] == 'e' ? NITIC_TEST_SPLIT : NITIC_TRAIN_SPLIT;
  return NITIC_OK;
}

static bool asks_for_help(int count, char **arguments) {
  for (int i = 1; i < count; i++)
    if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
      return true;
  return count > 1 && strcmp(arguments[1], "help") == 0;
}

/* `arguments` ends in NULL, as main's does, and holds a command at least. */
int nitic_options_parse(nitic_options *options, int count, char **arguments) {
  *options = (nitic_options){.threads = -1, .epochs = -1, .seed = -1, .log_every = -1, .save_every = -1};
  if (asks_for_help(count, arguments)) {
    options->command = NITIC_HELP;
    return NITIC_OK;
  }
  if (!parse_command(options, arguments[1]))
    return nitic_fail(NITIC_USAGE, "expected train, eval, predict or info, not %s; --help explains", arguments[1]);
  char **next = arguments + 2;
  int status = NITIC_OK;
  while (*next && status == NITIC_OK)
    status = take_option(options, &next);
  return status == NITIC_OK ? check(options) : status;
}
