/* emulator.cpp: fibers and their scheduler. */
#include "emulator.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <deque>
#include <vector>

namespace emulator {

constexpr size_t STACK = 256 << 10;

struct Copy {
  uint8_t *to;
  uint8_t bytes[16];
};

struct Span {
  int offset, size;
};

struct Thread {
  State state;
  bool started;
  ucontext_t context;
  jmp_buf resume;
  char *stack;
  std::deque<std::vector<Copy>> groups; /* the last one is open */
  std::vector<Span> hidden;             /* stores that products do not see yet */
  std::vector<Product> products;
  bool begun;
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
static uint8_t shown[SHARED]; /* the shared memory as products see it */
static jmp_buf scheduler;
static Kernel kernel;
static const char *failure;
static int shared_size;

void wait(State state) {
  threads[current].state = state;
  if (_setjmp(threads[current].resume) == 0)
    _longjmp(scheduler, 1);
}

void fail(const char *message) {
  failure = message;
  wait(FINISHED);
}

uint8_t *shared_at(int offset, int bytes) {
  if (offset < 0 || offset % bytes || offset + bytes > shared_size)
    fail("an access outside of the shared memory");
  return shared + offset;
}

void copy_later(int to, const int8_t *from, bool inside) {
  if ((uintptr_t)from % 16)
    fail("an asynchronous copy from an address that is no multiple of 16");
  Copy copy = {shared_at(to, 16), {}};
  if (inside)
    memcpy(copy.bytes, from, 16);
  memset(copy.to, POISON, 16);
  memset(shown + to, POISON, 16);
  threads[current].groups.back().push_back(copy);
}

void close_group() { threads[current].groups.emplace_back(); }

void finish_groups(unsigned left) {
  auto &groups = threads[current].groups;
  for (; groups.size() > left + 1; groups.pop_front())
    for (const Copy &copy : groups.front())
      store((int)(copy.to - shared), copy.bytes, 16);
}

void store(int to, const void *bytes, int size) {
  memcpy(shared_at(to, size), bytes, (size_t)size);
  memset(shown + to, POISON, (size_t)size);
  threads[current].hidden.push_back({to, size});
}

void show_stores() {
  for (const Span &span : threads[current].hidden)
    memcpy(shown + span.offset, shared + span.offset, (size_t)span.size);
  threads[current].hidden.clear();
}

void begin_products() { threads[current].begun = true; }

void multiply_later(const Product &product) {
  if (!threads[current].begun)
    fail("a product whose sums may not be in registers yet");
  threads[current].products.push_back(product);
}

/* A byte of a row of 64, whose chunks of 16 are swizzled. */
static int8_t operand(int offset, unsigned row, unsigned k) {
  unsigned at = (unsigned)offset + row * 64 + k;
  return (int8_t)shown[at ^ (at >> 7 & 3) << 4];
}

static void multiply(const Product &product) {
  unsigned warp = current / WARP % 4;
  for (int i = 0; i < product.columns / 2; i++) {
    unsigned row = warp * 16 + lane() / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane() % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 32; k++)
      product.acc[i] += operand(product.a, row, k) * operand(product.b, column, k);
  }
}

void finish_products() {
  for (const Product &product : threads[current].products)
    multiply(product);
  threads[current].products.clear();
  threads[current].begun = false;
}

/* Rows i / 4 and i / 4 + 8, columns 2 * (i % 4) and the next. */
void multiply_fragments(int32_t *acc) {
  for (unsigned e = 0; e < 4; e++) {
    unsigned row = lane() / 4, column = lane() % 4 * 2 + e % 2;
    for (unsigned k = 0; k < 32; k += 4) {
      const uint64_t *a = exchange[warp_start() + row * 4 + k % 16 / 4];
      const uint64_t *b = exchange[warp_start() + column * 4 + k % 16 / 4];
      uint32_t four_a = (uint32_t)a[e / 2 + k / 16 * 2], four_b = (uint32_t)b[4 + k / 16];
      for (unsigned byte = 0; byte < 32; byte += 8)
        acc[e] += (int8_t)(four_a >> byte) * (int8_t)(four_b >> byte);
    }
  }
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
  memset(shown, POISON, sizeof shown);
  for (unsigned i = 0; i < warps * WARP; i++) {
    threads[i].state = RUNNING;
    threads[i].groups.assign(1, {});
    threads[i].hidden.clear();
    threads[i].products.clear();
    threads[i].begun = false;
  }
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
  shared_size = shared_bytes;
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
