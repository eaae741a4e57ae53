/* checkpoint/save.c: a checkpoint to a file: core/checkpoint.c has the format. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "hosted/replace.h"

/* Only an empty file or a checkpoint is replaced. */
static int check_target(const char *path) {
  uint64_t bytes = 0;
  nitic_found found = *path ? nitic_look(path, &bytes) : NITIC_SPECIAL;
  if (found == NITIC_FOLDER || found == NITIC_SPECIAL)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save here: not a regular file", *path ? path : "''");
  if (found == NITIC_FILE && bytes > 0 && !nitic_checkpoint_recognise(path))
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save here: the file is no checkpoint of nitic, so it is not replaced",
                      path);
  return NITIC_OK;
}

static int begin(const char *path, nitic_replacement **replacement, FILE **file) {
  int status = check_target(path);
  int reason = status == NITIC_OK ? nitic_replace_begin(path, replacement, file) : 0;
  return reason ? nitic_fail(NITIC_RUNTIME, "%.1000s: cannot save here: %s", path, strerror(reason)) : status;
}

int nitic_checkpoint_probe(const char *path) {
  nitic_replacement *replacement;
  FILE *file;
  int status = begin(path, &replacement, &file);
  if (status == NITIC_OK)
    nitic_replace_end(replacement, -1);
  return status;
}

/* Where it goes to, and why it could not: an errno, -1 where nobody said more. */
typedef struct {
  FILE *file;
  int reason;
} target;

static int write_bytes(void *context, const void *bytes, size_t count) {
  target *to = context;
  errno = 0;
  if (fwrite(bytes, 1, count, to->file) == count)
    return NITIC_OK;
  to->reason = errno ? errno : -1;
  return NITIC_RUNTIME;
}

int nitic_checkpoint_save(nitic_session *s, const char *path) {
  nitic_replacement *replacement;
  target to = {.reason = -1};
  int status = nitic_state_read(s);
  if (status == NITIC_OK)
    status = begin(path, &replacement, &to.file);
  if (status != NITIC_OK)
    return status;
  if (nitic_checkpoint_write(s, write_bytes, &to) == NITIC_OK) {
    errno = 0;
    to.reason = fflush(to.file) == 0 ? 0 : errno ? errno : -1;
  }
  int reason = nitic_replace_end(replacement, to.reason);
  if (reason != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: cannot save: %s; what was there before is untouched", path, strerror(reason));
  return NITIC_OK;
}
