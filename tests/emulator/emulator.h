/* emulator.h: runs CUDA kernels on the CPU, one fiber per thread, one warp at a time, and each of them as far as its
 * next block barrier before the next begins: so a missing barrier shows in the results, in one order of the warps or
 * the other. Shared memory starts as poison. NITIC_EMULATOR_ORDER=backward reverses the order of blocks and warps.
 */
#ifndef NITIC_EMULATOR_H
#define NITIC_EMULATOR_H

#include <stdint.h>

namespace emulator {

constexpr unsigned WARP = 32, MOST_THREADS = 1024;
constexpr int SHARED = 227 << 10; /* bytes that a block of sm_90 may have */
constexpr uint8_t POISON = 0x55;

struct Index {
  unsigned x;
};

/* What a thread does. One that waits for its warp (AT_WARP) is in a collective operation. */
enum State { RUNNING, AT_WARP, AT_BLOCK, FINISHED };

extern unsigned current; /* the number of the thread that runs */
extern Index block, block_size;
extern uint8_t shared[SHARED];
extern uint64_t exchange[MOST_THREADS][8]; /* what each thread shows to the others of its warp */

inline unsigned lane() { return current % WARP; }
inline unsigned warp_start() { return current - lane(); }

/* The thread stops here until the scheduler comes back to it. */
void wait(State state);

/* Ends the launch with a sentence on the standard error. */
void fail(const char *message);

/* Runs body(argument) in every thread of every block. Gives 0, or 1 where it failed. */
int launch(unsigned blocks, unsigned threads, int shared_bytes, void (*body)(void *), void *argument);

/* The address of `bytes` bytes of shared memory; ends the launch where the block has no such bytes. */
uint8_t *shared_at(int offset, int bytes);

/* Asynchronous copies: their target is poison until the thread has waited for their group. */
void copy_later(int to, const int8_t *from, bool inside);
void close_group();
void finish_groups(unsigned left);

/* Writes bytes to shared memory. */
void store(int to, const void *bytes, int size);

/* A thread's four sums, from what the warp has exchanged. */
void multiply_fragments(int32_t *acc);

/* A product of four warps (wgmma). Of the shared memory it reads only what its writers have shown since they wrote it
 * (show_stores), and it is done as late as possible: when the thread waits. */
struct Product {
  int32_t *acc;
  int a, b, columns;
};
void show_stores();
void begin_products();
void multiply_later(const Product &product);
void finish_products();

} // namespace emulator

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__ __restrict
#define threadIdx (emulator::Index{emulator::current})
#define blockIdx emulator::block
#define blockDim emulator::block_size

#endif
