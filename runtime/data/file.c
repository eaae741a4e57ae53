/* data/file.c: see file.h. */
#include "data/file.h"

#include <stdio.h>
#include <string.h>

#include "core/internal.h"

static void join(char *path, size_t size, const char *folder, const char *name) {
  size_t length = strlen(folder);
  const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
  snprintf(path, size, "%s%s%s", folder, slash, name);
}

bool nitic_file_exists(const char *folder, const char *name) {
  char path[4096];
  join(path, sizeof path, folder, name);
  return nitic_look(path, NULL) != NITIC_NOTHING;
}

int nitic_file_largest(const char *folder, const char *prefix, int digits, const char *suffix) {
  char path[4096];
  join(path, sizeof path, folder, "");
  return nitic_largest_number(path, prefix, digits, suffix);
}

int nitic_file_open(nitic_file *file, const char *folder, const char *name) {
  join(file->path, sizeof file->path, folder, name);
  return nitic_map(file->path, &file->bytes, &file->size);
}

int nitic_file_check_lost(void) {
  const char *path = nitic_file_lost();
  return path ? nitic_fail(NITIC_RUNTIME, "%s: the file became shorter while it was read", path) : NITIC_OK;
}

/* The product is compared by division, so it cannot overflow. */
int nitic_file_check_size(const nitic_file *file, size_t data, int32_t element_bytes, const int64_t *shape,
                          int32_t rank) {
  size_t left = file->size - data, expected = (size_t)element_bytes;
  bool fits = true;
  for (int32_t i = 0; i < rank && fits; i++) {
    size_t length = (size_t)shape[i];
    fits = length == 0 || expected <= left / length;
    expected = fits ? expected * length : expected;
  }
  if (fits && expected == left)
    return NITIC_OK;
  if (fits)
    return nitic_fail(NITIC_MISMATCH, "%s: offset %zu: the file goes on for %zu bytes, expected its end", file->path,
                      data + expected, left - expected);
  return nitic_fail(NITIC_MISMATCH, "%s: truncated at offset %zu: expected more data, the header promises %lld entries",
                    file->path, file->size, (long long)shape[0]);
}

void nitic_file_close(nitic_file *file) {
  if (file->bytes)
    nitic_unmap(file->bytes, file->size);
}
