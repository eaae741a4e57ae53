/* posix/system.c: memory, time, errors and the terminal: core/system.h. */
#include "core/system.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Memory from the operating system is zero: clearing it would only cost time. */
void *nitic_memory(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return NULL;
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void nitic_memory_free(void *memory, size_t bytes) { munmap(memory, bytes); }

int64_t nitic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *nitic_sentence(void) {
  static _Thread_local char sentence[NITIC_SENTENCE];
  return sentence;
}

/* The terminal may be resized at any time; 80 where it does not know. */
int nitic_terminal_columns(void) {
  struct winsize size;
  if (!isatty(STDERR_FILENO))
    return 0;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
