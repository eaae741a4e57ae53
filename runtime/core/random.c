/* core/random.c: counter-based random numbers. nitic/data/arrays.py has the same in NumPy. */
#include "core/internal.h"
#include "core/words.h"

/* The stream of the shuffle ("shuf"); operators of a program have small stream numbers. */
#define SHUFFLE_STREAM 0x73687566u

void nitic_philox(const uint32_t counter[4], uint64_t key, uint32_t words[4]) {
  uint32_t c[4], k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  memcpy(c, counter, sizeof c);
  for (int round = 0; round < 10; round++) {
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k0, (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k1, (uint32_t)p};
    memcpy(c, next, sizeof c);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  memcpy(words, c, sizeof c);
}

/* The shuffle: sample i gets the 64-bit key w0 + 2^32 w1, w = Philox4x32-10 with key = seed and
 * counter = (i low, i high, SHUFFLE_STREAM, epoch); samples are visited by rising key, by rising i where keys are
 * equal. */
uint64_t nitic_shuffle_key(int64_t i, int64_t seed, int64_t epoch) {
  uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), SHUFFLE_STREAM, (uint32_t)epoch}, words[4];
  nitic_philox(counter, (uint64_t)seed, words);
  return words[0] | (uint64_t)words[1] << 32;
}
