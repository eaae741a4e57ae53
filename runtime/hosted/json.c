/* hosted/json.c: see json.h. */
#include "hosted/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(nitic_text *text, size_t more) {
  if (text->failed || text->capacity - text->length > more)
    return !text->failed;
  size_t capacity = (text->capacity + more) * 2 + 256;
  char *data = realloc(text->data, capacity);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->capacity = capacity;
  return true;
}

void nitic_text_add(nitic_text *text, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  if (length >= 0 && reserve(text, (size_t)length))
    text->length += (size_t)vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
  va_end(again);
  va_end(arguments);
}

void nitic_text_add_quoted(nitic_text *text, const char *string) {
  nitic_text_add(text, "\"");
  for (; *string; string++) {
    unsigned char c = (unsigned char)*string;
    if (c == '"' || c == '\\')
      nitic_text_add(text, "\\%c", c);
    else if (c < 0x20)
      nitic_text_add(text, "\\u%04x", c);
    else
      nitic_text_add(text, "%c", c);
  }
  nitic_text_add(text, "\"");
}

void nitic_text_add_key(nitic_text *text, const char *key) {
  nitic_text_add(text, "%s\"%s\":", text->length > 1 ? "," : "", key);
}

void nitic_text_add_string(nitic_text *text, const char *key, const char *value) {
  nitic_text_add_key(text, key);
  nitic_text_add_quoted(text, value);
}

void nitic_text_add_integer(nitic_text *text, const char *key, int64_t value) {
  nitic_text_add_key(text, key);
  nitic_text_add(text, "%lld", (long long)value);
}

static void skip_white(nitic_json *json) {
  while (json->at < json->end && *json->at && strchr(" \t\r\n", *json->at))
    json->at++;
}

bool nitic_json_take(nitic_json *json, char c) {
  skip_white(json);
  if (json->at == json->end || *json->at != c)
    return false;
  json->at++;
  return true;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t read_hex(const char *at, const char *end) {
  int32_t code = 0;
  if (end - at < 4)
    return -1;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0)
      return -1;
    code = code * 16 + digit;
  }
  return code;
}

static char *put_utf8(char *to, int32_t code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xC0 | code >> 6);
    *to++ = (char)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *to++ = (char)(0xE0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    *to++ = (char)(0x80 | (code & 0x3F));
  } else {
    *to++ = (char)(0xF0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3F));
    *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    *to++ = (char)(0x80 | (code & 0x3F));
  }
  return to;
}

/* The code point after "\u", with its second half where it is a surrogate; -1 when malformed. */
static int32_t read_code_point(nitic_json *json) {
  int32_t high = read_hex(json->at, json->end);
  if (high < 0 || (high >= 0xDC00 && high < 0xE000))
    return -1;
  json->at += 4;
  if (high < 0xD800 || high >= 0xE000)
    return high;
  if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
    return -1;
  int32_t low = read_hex(json->at + 2, json->end);
  if (low < 0xDC00 || low >= 0xE000)
    return -1;
  json->at += 6;
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* Decodes the escape after a backslash to `to`, which it returns moved on; NULL when malformed. It never grows:
 * "\u0080" is six bytes, its code point at most four. */
static char *decode_escape(nitic_json *json, char *to) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (json->at == json->end)
    return NULL;
  char c = *json->at++;
  const char *found = c ? strchr(names, c) : NULL;
  if (found) {
    *to = values[found - names];
    return to + 1;
  }
  int32_t code = c == 'u' ? read_code_point(json) : -1;
  return code > 0 ? put_utf8(to, code) : NULL;
}

char *nitic_json_string(nitic_json *json) {
  if (!nitic_json_take(json, '"'))
    return NULL;
  char *start = json->at, *to = start;
  while (to && json->at < json->end) {
    char c = *json->at++;
    if (c == '"') {
      *to = 0;
      return start;
    }
    if ((unsigned char)c < 0x20)
      return NULL;
    if (c == '\\')
      to = decode_escape(json, to);
    else
      *to++ = c;
  }
  return NULL;
}

bool nitic_json_integer(nitic_json *json, int64_t *value) {
  bool negative = nitic_json_take(json, '-');
  const char *start = json->at;
  uint64_t magnitude = 0;
  for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
    if (magnitude > (uint64_t)INT64_MAX / 10)
      return false;
    magnitude = magnitude * 10 + (uint64_t)(*json->at - '0');
  }
  if (json->at == start || magnitude > INT64_MAX)
    return false;
  *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
  return true;
}
