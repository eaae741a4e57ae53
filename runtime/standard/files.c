/* standard/files.c: files by ISO C's streams, read as a whole: core/system.h, hosted/replace.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "core/system.h"
#include "hosted/replace.h"

enum { CHUNK = 1 << 16, UNKNOWN = -1 /* no errno */ };

static int reason(void) { return errno ? errno : UNKNOWN; }

/* A folder may open, but it cannot be read. */
nitic_found nitic_look(const char *path, uint64_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NITIC_NOTHING;
  bool readable = fgetc(file) != EOF || !ferror(file);
  long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  fclose(file);
  if (bytes && size >= 0)
    *bytes = (uint64_t)size;
  return !readable ? NITIC_FOLDER : size >= 0 ? NITIC_FILE : NITIC_SPECIAL;
}

/* Where folders do not open, a file in it that is missing is said later. */
int nitic_check_folder(const char *path) {
  bool found = nitic_look(path, NULL) == NITIC_FILE;
  return found ? nitic_fail(NITIC_RUNTIME, "%s: not a folder", path) : NITIC_OK;
}

/* ISO C lists no folders: files are numbered from 0 or 1 on, and the first that is missing ends them. */
int nitic_largest_number(const char *folder, const char *prefix, int digits, const char *suffix) {
  int largest = -1;
  for (int number = 0; number <= 1 || largest == number - 1; number++) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s%0*d%s", folder, prefix, digits, number, suffix);
    largest = nitic_look(path, NULL) == NITIC_FILE ? number : largest;
  }
  return largest;
}

/* ---- reading */

static int read_stream(FILE *file, const char *path, uint64_t most, char **data, uint64_t *bytes) {
  size_t room = 0, got = 1;
  *data = NULL;
  for (*bytes = 0; got > 0 && *bytes < most; *bytes += got) {
    if (room - *bytes < CHUNK) {
      char *larger = room <= SIZE_MAX / 2 - CHUNK ? realloc(*data, room = 2 * room + CHUNK) : NULL;
      if (!larger)
        return nitic_fail(NITIC_RUNTIME, "%s: no memory to read it", path);
      *data = larger;
    }
    got = fread(*data + *bytes, 1, most - *bytes < CHUNK ? (size_t)(most - *bytes) : CHUNK, file);
  }
  return ferror(file) ? nitic_fail(NITIC_RUNTIME, "%s: cannot read: %s", path, strerror(reason())) : NITIC_OK;
}

int nitic_read(const char *path, uint64_t most, char **data, uint64_t *bytes) {
  errno = 0;
  FILE *file = fopen(path, "rb");
  if (!file)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot open: %s", path, strerror(reason()));
  int status = read_stream(file, path, most, data, bytes);
  fclose(file);
  return status;
}

int nitic_map(const char *path, const uint8_t **bytes, size_t *size) {
  char *data = NULL;
  uint64_t length = 0;
  int status = nitic_read(path, UINT64_MAX, &data, &length);
  if (status == NITIC_OK && length == 0)
    status = nitic_fail(NITIC_MISMATCH, "%s: offset 0: the file is empty", path);
  if (status != NITIC_OK) {
    free(data);
    return status;
  }
  *bytes = (const uint8_t *)data;
  *size = (size_t)length;
  return NITIC_OK;
}

void nitic_unmap(const uint8_t *bytes, size_t size) {
  (void)size;
  free((void *)(uintptr_t)bytes);
}

void nitic_will_need(const uint8_t *bytes, size_t size) {
  (void)bytes;
  (void)size;
}

/* What was read stays what it was. */
const char *nitic_file_lost(void) { return NULL; }
const char *nitic_file_changed(void) { return NULL; }

/* ---- replacing: no links are followed, and nothing says when the bytes are on the disk */

enum { PATH_LENGTH = 4096, NAMES = 1000 };

struct nitic_replacement {
  char path[PATH_LENGTH], temporary[PATH_LENGTH];
  FILE *file;
};

/* Under a name that no file has. */
static int open_temporary(nitic_replacement *r, const char *path) {
  if (strlen(path) + sizeof ".999.tmp" > PATH_LENGTH)
    return UNKNOWN;
  strcpy(r->path, path);
  nitic_found found = NITIC_FILE;
  for (int i = 0; i < NAMES && found != NITIC_NOTHING; i++) {
    sprintf(r->temporary, "%s.%d.tmp", path, i);
    found = nitic_look(r->temporary, NULL);
  }
  errno = 0;
  r->file = found == NITIC_NOTHING ? fopen(r->temporary, "wb") : NULL;
  return r->file ? 0 : reason();
}

int nitic_replace_begin(const char *path, nitic_replacement **replacement, FILE **file) {
  nitic_replacement *r = malloc(sizeof *r);
  int why = r ? open_temporary(r, path) : UNKNOWN;
  if (why != 0) {
    free(r);
    return why;
  }
  *replacement = r;
  *file = r->file;
  return 0;
}

/* Some systems rename to no name that is there. */
static int rename_over(const char *from, const char *to) {
  if (rename(from, to) == 0)
    return 0;
  remove(to);
  return rename(from, to) == 0 ? 0 : reason();
}

int nitic_replace_end(nitic_replacement *r, int why) {
  errno = 0;
  if (fclose(r->file) != 0 && why == 0)
    why = reason();
  if (why == 0)
    why = rename_over(r->temporary, r->path);
  if (why != 0)
    remove(r->temporary);
  free(r);
  return why;
}
