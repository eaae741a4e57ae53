/* cli/log.h: the file of JSON lines that `train --log` writes. */
#ifndef NITIC_CLI_LOG_H
#define NITIC_CLI_LOG_H

#include <stdio.h>

typedef struct {
  FILE *file;
  const char *path;
  int failed; /* a line could not be written: reported once, and the run ends with NITIC_RUNTIME */
} nitic_log;

/* path NULL: no log. append keeps what is there. */
int nitic_log_open(nitic_log *log, const char *path, int append);
/* Writes one line and flushes it. */
int nitic_log_line(nitic_log *log, const char *line);
int nitic_log_close(nitic_log *log);

#endif
