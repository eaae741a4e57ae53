/* error.c: the last error of each thread, one sentence. */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static _Thread_local char sentence[1024];

const char *nitic_last_error(void) { return sentence; }

int nitic_fail(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);
  for (char *c = sentence; *c; c++) /* file names and headers may hold anything; terminals obey control characters */
    if ((unsigned char)*c < 0x20 || *c == 0x7F)
      *c = '?';
  return code;
}
