/* bare/error.c: the last error, as a sentence without its values: to print them takes a libc. */
#include "core/internal.h"

static const char *sentence = "";

const char *nitic_last_error(void) { return sentence; }

int nitic_fail(int code, const char *format, ...) {
  sentence = format;
  return code;
}
