/* cli/log.c: see log.h. */
#include "cli/log.h"

#include <errno.h>
#include <string.h>

#include "core/internal.h"

int nitic_log_open(nitic_log *log, const char *path, int append) {
  *log = (nitic_log){.path = path};
  if (!path)
    return NITIC_OK;
  log->file = fopen(path, append ? "a" : "w");
  return log->file ? NITIC_OK : nitic_fail(NITIC_RUNTIME, "%s: cannot write the log: %s", path, strerror(errno));
}

int nitic_log_line(nitic_log *log, const char *line) {
  if (!log->file || log->failed)
    return NITIC_OK;
  if (fprintf(log->file, "%s\n", line) >= 0 && fflush(log->file) == 0)
    return NITIC_OK;
  log->failed = 1;
  return nitic_fail(NITIC_RUNTIME, "%s: cannot write the log: %s", log->path, strerror(errno));
}

int nitic_log_close(nitic_log *log) {
  int status = log->file && fclose(log->file) != 0 ? EOF : 0;
  if (log->failed || status != 0)
    return nitic_fail(NITIC_RUNTIME, "%s: the log is incomplete", log->path);
  return NITIC_OK;
}
