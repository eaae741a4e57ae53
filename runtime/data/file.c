/* data/file.c: see file.h. */
#include "data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/internal.h"

static void join(char *path, size_t size, const char *folder, const char *name) {
  size_t length = strlen(folder);
  const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
  snprintf(path, size, "%s%s%s", folder, slash, name);
}

bool nitic_file_exists(const char *folder, const char *name) {
  char path[4096];
  join(path, sizeof path, folder, name);
  return access(path, F_OK) == 0;
}

static int map_file(nitic_file *file, int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))
    return nitic_fail(NITIC_RUNTIME, "%s: not a regular file", file->path);
  if (info.st_size == 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: the file is empty", file->path);
  void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (bytes == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot map: %s", file->path, strerror(errno));
  file->bytes = bytes;
  file->size = (size_t)info.st_size;
  return NITIC_OK;
}

int nitic_file_open(nitic_file *file, const char *folder, const char *name) {
  join(file->path, sizeof file->path, folder, name);
  int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", file->path, strerror(errno));
  int status = map_file(file, descriptor);
  close(descriptor);
  return status;
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
    munmap((void *)(uintptr_t)file->bytes, file->size);
}
