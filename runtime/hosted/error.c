/* hosted/error.c: the last error of each thread, one sentence. */
#include <stdarg.h>
#include <stdio.h>

#include "core/internal.h"
#include "core/system.h"

const char *nitic_last_error(void) { return nitic_sentence(); }

/* Bytes of the printable UTF-8 character at `c`, 0 where there is none. One that is cut off meets the final NUL, which
 * cannot be a part of it. */
static size_t printable(const unsigned char *c) {
  if (c[0] < 0x80)
    return c[0] >= 0x20 && c[0] != 0x7F;
  size_t length = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
  if (c[0] < 0xC2 || c[0] > 0xF4)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((c[i] & 0xC0) != 0x80)
      return 0;
  bool odd = (c[0] == 0xC2 && c[1] < 0xA0) || (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
             (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F);
  return odd ? 0 : length; /* C1 controls, overlong forms, surrogates, beyond Unicode */
}

/* File names and headers may hold anything; terminals obey control characters, and Python decodes UTF-8. */
static void make_printable(char *text) {
  while (*text) {
    size_t length = printable((const unsigned char *)text);
    if (length == 0)
      *text = '?';
    text += length ? length : 1;
  }
}

int nitic_fail(int code, const char *format, ...) {
  char *sentence = nitic_sentence();
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, NITIC_SENTENCE, format, arguments);
  va_end(arguments);
  make_printable(sentence);
  return code;
}
