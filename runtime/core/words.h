/* core/words.h: words, and the four functions on memory that compilers call by themselves. A machine without an
 * operating system has these, but perhaps no <string.h>; C lets a program declare them. */
#ifndef NITIC_CORE_WORDS_H
#define NITIC_CORE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);

static inline size_t nitic_length(const char *text) {
  size_t length = 0;
  while (text[length])
    length++;
  return length;
}

/* As strcmp: below, equal to, or above 0. */
static inline int nitic_compare(const char *a, const char *b) {
  while (*a && *a == *b) {
    a++;
    b++;
  }
  return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

static inline bool nitic_same(const char *a, const char *b) { return nitic_compare(a, b) == 0; }

/* Takes a word at *text, which moves past it. */
static inline bool nitic_take_word(const char **text, const char *word) {
  const char *at = *text;
  while (*word && *at == *word) {
    at++;
    word++;
  }
  if (*word)
    return false;
  *text = at;
  return true;
}

#endif
