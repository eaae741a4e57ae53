/* data/file.c: see file.h. */
#include "data/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/internal.h"

/* ---- files that change while they are mapped */

/* An open file. Files are opened and closed by one thread, while no other one reads. */
typedef struct mapping {
  struct mapping *next;
  const uint8_t *bytes;
  size_t size;
  struct stat info; /* when it was opened */
  char path[];
} mapping;

static mapping *mappings;
static const mapping *_Atomic lost;

/* A page that lies behind the end of its file: the whole mapping becomes zeros. Any other SIGBUS ends the process, as
 * it would have without this. */
static void on_bus_error(int number, siginfo_t *info, void *context) {
  (void)context;
  const uint8_t *at = info->si_addr;
  const mapping *m = mappings;
  while (m && !(at >= m->bytes && (size_t)(at - m->bytes) < m->size))
    m = m->next;
  if (!m) {
    signal(number, SIG_DFL);
    return;
  }
  atomic_store(&lost, m);
  mmap((void *)(uintptr_t)m->bytes, m->size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int watch(const nitic_file *file, const struct stat *info) {
  mapping *m = malloc(sizeof *m + strlen(file->path) + 1);
  if (!m)
    return nitic_fail(NITIC_RUNTIME, "%s: no memory to open it", file->path);
  *m = (mapping){.next = mappings, .bytes = file->bytes, .size = file->size, .info = *info};
  strcpy(m->path, file->path);
  mappings = m;
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  return NITIC_OK;
}

static void unwatch(const nitic_file *file) {
  mapping **at = &mappings;
  while (*at && (*at)->bytes != file->bytes)
    at = &(*at)->next;
  mapping *m = *at;
  if (!m || m == atomic_load(&lost))
    return; /* its name is still needed */
  *at = m->next;
  free(m);
}

const char *nitic_file_lost(void) {
  const mapping *m = atomic_load(&lost);
  return m ? m->path : NULL;
}

int nitic_file_check_lost(void) {
  const char *path = nitic_file_lost();
  return path ? nitic_fail(NITIC_RUNTIME, "%s: the file became shorter while it was read", path) : NITIC_OK;
}

/* A file that another one has replaced is still what it was. */
static bool has_changed(const mapping *m) {
  struct stat now;
  if (stat(m->path, &now) != 0 || now.st_dev != m->info.st_dev || now.st_ino != m->info.st_ino)
    return false;
  return now.st_size != m->info.st_size || now.st_mtim.tv_sec != m->info.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != m->info.st_mtim.tv_nsec;
}

const char *nitic_file_changed(void) {
  const mapping *m = mappings;
  while (m && !has_changed(m))
    m = m->next;
  return m ? m->path : NULL;
}

/* ---- opening */

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

/* The number in `name`, -1 where it is another name. */
static int number_of(const char *name, const char *prefix, int digits, const char *suffix) {
  size_t length = strlen(prefix);
  if (strncmp(name, prefix, length) != 0 || strspn(name + length, "0123456789") > 9)
    return -1;
  char same[256];
  int number = atoi(name + length);
  snprintf(same, sizeof same, "%s%0*d%s", prefix, digits, number, suffix);
  return strcmp(name, same) == 0 ? number : -1;
}

int nitic_file_largest(const char *folder, const char *prefix, int digits, const char *suffix) {
  DIR *entries = opendir(folder);
  int largest = -1;
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    int number = number_of(entry->d_name, prefix, digits, suffix);
    largest = number > largest ? number : largest;
  }
  if (entries)
    closedir(entries);
  return largest;
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
  return watch(file, &info);
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
  if (!file->bytes)
    return;
  unwatch(file);
  munmap((void *)(uintptr_t)file->bytes, file->size);
}
