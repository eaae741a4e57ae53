/* fake_cuda.h: what the parts of the fake libcuda.so.1 share. Its GPU is the emulator; its memory is the host's, and
 * can be reached only while something runs on the GPU. Queued operations are done as late as possible, when somebody
 * waits for them, or as early as possible in those streams whose bit is set in $NITIC_FAKE_EARLY (bit n: the n-th
 * stream that was made): so a missing wait shows in the results. It refuses what a driver refuses and more, and ends
 * the process with 70 where something was not released. */
#ifndef NITIC_FAKE_CUDA_H
#define NITIC_FAKE_CUDA_H

#include <stdint.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

extern "C" {
#include "cuda/driver.h"
}

namespace fake {

enum { INVALID_VALUE = 1, INVALID_IMAGE = 200, NO_BINARY = 209, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

struct Function {
  int (*launch)(void *const *, unsigned, unsigned, int, int);
  int parameters; /* besides the units */
  int most_shared = 48 << 10;
  std::string name;
};

struct Stream;

struct Event {
  Stream *stream = nullptr;
  uint64_t recorded = 0, done = 0;
};

/* Something to do, an event to wait for first, or both. */
struct Operation {
  std::function<void()> run;
  Event *event = nullptr;
  uint64_t generation = 0;
};

struct Stream {
  unsigned number;
  std::deque<Operation> waiting;
};

struct Node {
  std::function<void()> run;
  std::vector<Node *> after;
};

/* Nodes in the order in which they were made. */
using Graph = std::vector<Node *>;
using Executable = std::vector<std::function<void()>>;

/* Appends an operation to a stream. */
int enqueue(cu_handle stream, Operation operation);

extern int failure; /* once something went wrong on the GPU, everything fails */
extern int alive;   /* how many things were made and not released */

/* An environment variable as a number. */
long setting(const char *name, long otherwise);
/* Says why on the standard error; gives `error`. */
int refuse(int error, const char *why);
/* Whether all these bytes are memory of the GPU. */
bool is_memory(cu_address address, size_t bytes);
/* While one of these exists, memory of the GPU can be reached. */
struct Reach {
  Reach();
  ~Reach();
};

} // namespace fake

#endif
