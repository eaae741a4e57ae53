/* Runs one kernel in a process of its own: SIZE... EDGE... < memory > memory
 *
 * KERNEL is its name and COUNT the number of its buffers, which ARGUMENTS lists: at[0], at[1], ... The buffers come one
 * behind the other, each from a multiple of 64 bytes on, and go out in the same way. Between two edges are the units of
 * work of one thread; threads come one after the other. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static _Alignas(64) unsigned char memory[1 << 26];
int32_t KERNEL(); /* of so many pointers, and int32_t thread, begin, end */

int main(int argc, char **argv) {
  unsigned char *at[COUNT + 1] = {memory};
  for (int i = 0; i < COUNT; i++)
    at[i + 1] = at[i] + (strtoul(argv[1 + i], NULL, 10) + 63) / 64 * 64;
  size_t size = fread(memory, 1, sizeof memory, stdin);
  for (int32_t thread = 0; COUNT + thread + 2 < argc; thread++) {
    char **edge = argv + 1 + COUNT + thread;
    if (KERNEL(ARGUMENTS, thread, (int32_t)atoi(edge[0]), (int32_t)atoi(edge[1])))
      return 1;
  }
  return fwrite(memory, 1, size, stdout) != size;
}
