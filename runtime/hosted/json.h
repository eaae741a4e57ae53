/* hosted/json.h: the little JSON that checkpoints and logs need. Reading is bounded and never looks past `end`. */
#ifndef NITIC_HOSTED_JSON_H
#define NITIC_HOSTED_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/system.h"

/* Text that grows. After a failed allocation `failed` is set and the text stays as it was. */
typedef struct {
  char *data;
  size_t length, capacity;
  bool failed;
} nitic_text;

void nitic_text_add(nitic_text *text, const char *format, ...) NITIC_PRINTS(2, 3);
/* The string with quotes and escapes; bytes from 0x80 on pass as they are. */
void nitic_text_add_quoted(nitic_text *text, const char *string);

/* A key of an object, whose text begins with its '{', with a comma before it where it is not the first; and pairs. */
void nitic_text_add_key(nitic_text *text, const char *key);
void nitic_text_add_string(nitic_text *text, const char *key, const char *value);
void nitic_text_add_integer(nitic_text *text, const char *key, int64_t value);

/* A reader of writable text: strings are decoded in place. */
typedef struct {
  char *at, *end;
} nitic_json;

/* Skips white space; takes `c` if it comes next. */
bool nitic_json_take(nitic_json *json, char c);
/* The next value as a string ending in NUL, or NULL. A string with a NUL in it is refused. */
char *nitic_json_string(nitic_json *json);
bool nitic_json_integer(nitic_json *json, int64_t *value);

#endif
