/* emulator.cpp: fibers and their scheduler. */
#include "emulator.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

namespace emulator {

constexpr size_t STACK = 256 << 10;

struct Thread {
  State state;
  bool started;
  ucontext_t context;
  jmp_buf resume;
  char *stack;
};

struct Kernel {
  void (*body)(void *);
  void *argument;
};

unsigned current;
Index block, block_size;
alignas(1024) uint8_t shared[SHARED];
uint64_t exchange[MOST_THREADS][8];

static Thread threads[MOST_THREADS];
static jmp_buf scheduler;
static Kernel kernel;
static const char *failure;

void wait(State state) {
  threads[current].state = state;
  if (_setjmp(threads[current].resume) == 0)
    _longjmp(scheduler, 1);
}

void fail(const char *message) {
  failure = message;
  wait(FINISHED);
}

static void live() {
  for (;;) {
    kernel.body(kernel.argument);
    wait(FINISHED);
  }
}

static void start(Thread &thread) {
  thread.started = true;
  if (!thread.stack)
    thread.stack = (char *)malloc(STACK);
  getcontext(&thread.context);
  thread.context.uc_stack.ss_sp = thread.stack;
  thread.context.uc_stack.ss_size = STACK;
  thread.context.uc_link = nullptr;
  makecontext(&thread.context, live, 0);
  setcontext(&thread.context);
}

static void run(unsigned number) {
  current = number;
  if (_setjmp(scheduler) != 0)
    return;
  if (threads[number].started)
    _longjmp(threads[number].resume, 1);
  start(threads[number]);
}

/* Runs a warp until all of it waits for the block or has finished; gives which of the two. */
static State run_warp(unsigned first) {
  for (;;) {
    unsigned count[4] = {0, 0, 0, 0};
    for (unsigned i = first; i < first + WARP && !failure; i++) {
      if (threads[i].state == RUNNING)
        run(i);
      count[threads[i].state]++;
    }
    if (failure || count[FINISHED] == WARP)
      return FINISHED;
    if (count[AT_BLOCK] == WARP)
      return AT_BLOCK;
    if (count[AT_WARP] != WARP) {
      failure = "the threads of a warp parted before a collective operation";
      return FINISHED;
    }
    for (unsigned i = first; i < first + WARP; i++)
      threads[i].state = RUNNING;
  }
}

static void run_block(unsigned warps, bool backward) {
  memset(shared, POISON, sizeof shared);
  for (unsigned i = 0; i < warps * WARP; i++)
    threads[i].state = RUNNING;
  for (unsigned finished = 0; finished < warps && !failure;) {
    finished = 0;
    for (unsigned i = 0; i < warps; i++)
      finished += run_warp((backward ? warps - 1 - i : i) * WARP) == FINISHED;
    if (finished != 0 && finished != warps && !failure)
      failure = "some warps ended before a block barrier that others wait in";
    for (unsigned i = 0; i < warps * WARP && finished == 0; i++)
      threads[i].state = RUNNING;
  }
}

int launch(unsigned blocks, unsigned size, int shared_bytes, void (*body)(void *), void *argument) {
  const char *order = getenv("NITIC_EMULATOR_ORDER");
  bool backward = order && strcmp(order, "backward") == 0;
  kernel = {body, argument};
  block_size.x = size;
  failure = size == 0 || size % WARP || size > MOST_THREADS || shared_bytes > SHARED ? "impossible launch" : nullptr;
  for (unsigned i = 0; i < blocks && !failure; i++) {
    block.x = backward ? blocks - 1 - i : i;
    run_block(size / WARP, backward);
  }
  if (!failure)
    return 0;
  fprintf(stderr, "emulator: %s\n", failure);
  for (Thread &thread : threads)
    thread.started = false; /* its stack holds a call that will not end */
  return 1;
}

} // namespace emulator
