/* posix/files.c: files, mapped into memory: core/system.h. */
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
#include "core/system.h"

nitic_found nitic_look(const char *path, uint64_t *bytes) {
  struct stat info;
  if (stat(path, &info) != 0)
    return NITIC_NOTHING;
  if (bytes)
    *bytes = (uint64_t)info.st_size;
  return S_ISREG(info.st_mode) ? NITIC_FILE : S_ISDIR(info.st_mode) ? NITIC_FOLDER : NITIC_SPECIAL;
}

int nitic_check_folder(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
  return S_ISDIR(info.st_mode) ? NITIC_OK : nitic_fail(NITIC_RUNTIME, "%s: not a folder", path);
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

int nitic_largest_number(const char *folder, const char *prefix, int digits, const char *suffix) {
  DIR *entries = opendir(*folder ? folder : ".");
  int largest = -1;
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    int number = number_of(entry->d_name, prefix, digits, suffix);
    largest = number > largest ? number : largest;
  }
  if (entries)
    closedir(entries);
  return largest;
}

/* ---- reading */

/* Without O_NONBLOCK the opening of a pipe would wait for its writer. */
static int open_file(const char *path, struct stat *info, int *descriptor) {
  *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*descriptor < 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
  if (fstat(*descriptor, info) == 0 && S_ISREG(info->st_mode))
    return NITIC_OK;
  close(*descriptor);
  return nitic_fail(NITIC_RUNTIME, "%s: not a regular file", path);
}

static int read_bytes(const char *path, int file, char *data, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t got = read(file, data + done, bytes - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return nitic_fail(NITIC_RUNTIME, "%s: cannot read: %s", path, got < 0 ? strerror(errno) : "the file shrank");
    done += (uint64_t)got;
  }
  return NITIC_OK;
}

int nitic_read(const char *path, uint64_t most, char **data, uint64_t *bytes) {
  struct stat info;
  int file, status = open_file(path, &info, &file);
  if (status != NITIC_OK)
    return status;
  *bytes = (uint64_t)info.st_size < most ? (uint64_t)info.st_size : most;
  *data = *bytes < SIZE_MAX ? malloc((size_t)*bytes + 1) : NULL;
  if (*data)
    status = read_bytes(path, file, *data, *bytes);
  else
    status = nitic_fail(NITIC_RUNTIME, "%s: no memory to read %llu bytes", path, (unsigned long long)*bytes);
  close(file);
  return status;
}

/* ---- files that change while they are mapped */

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

static int watch(const char *path, const uint8_t *bytes, const struct stat *info) {
  mapping *m = malloc(sizeof *m + strlen(path) + 1);
  if (!m)
    return nitic_fail(NITIC_RUNTIME, "%s: no memory to open it", path);
  *m = (mapping){.next = mappings, .bytes = bytes, .size = (size_t)info->st_size, .info = *info};
  strcpy(m->path, path);
  mappings = m;
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  return NITIC_OK;
}

static void unwatch(const uint8_t *bytes) {
  mapping **at = &mappings;
  while (*at && (*at)->bytes != bytes)
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

/* ---- mapping */

static int map_file(const char *path, int descriptor, const struct stat *info, const uint8_t **bytes, size_t *size) {
  if (info->st_size == 0)
    return nitic_fail(NITIC_MISMATCH, "%s: offset 0: the file is empty", path);
  bool fits = (uint64_t)info->st_size <= SIZE_MAX;
  errno = EFBIG;
  void *memory = fits ? mmap(NULL, (size_t)info->st_size, PROT_READ, MAP_PRIVATE, descriptor, 0) : MAP_FAILED;
  if (memory == MAP_FAILED)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot map: %s", path, strerror(errno));
  *bytes = memory;
  *size = (size_t)info->st_size;
  return watch(path, *bytes, info);
}

int nitic_map(const char *path, const uint8_t **bytes, size_t *size) {
  struct stat info;
  int file, status = open_file(path, &info, &file);
  if (status != NITIC_OK)
    return status;
  status = map_file(path, file, &info, bytes, size);
  close(file);
  return status;
}

void nitic_unmap(const uint8_t *bytes, size_t size) {
  unwatch(bytes);
  munmap((void *)(uintptr_t)bytes, size);
}

void nitic_will_need(const uint8_t *bytes, size_t size) {
  size_t before = (uintptr_t)bytes % (size_t)sysconf(_SC_PAGESIZE);
  madvise((void *)(uintptr_t)(bytes - before), before + size, MADV_WILLNEED);
}
