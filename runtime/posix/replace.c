/* posix/replace.c: see hosted/replace.h. */
#include "hosted/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINKS = 40 /* as Linux has it */, PATH_LENGTH = 4096 };

struct nitic_replacement {
  char path[PATH_LENGTH];      /* the file: where a link leads, if one was given */
  char temporary[PATH_LENGTH]; /* beside it, under a name that nobody can guess */
  FILE *file;
  sigset_t signals; /* of this thread, before */
};

/* Goes one link on. A link that is relative begins in the folder of its own. */
static int follow(char *path, const char *link) {
  char next[PATH_LENGTH];
  const char *slash = link[0] == '/' ? NULL : strrchr(path, '/');
  int folder = slash ? (int)(slash - path) + 1 : 0;
  int length = snprintf(next, sizeof next, "%.*s%s", folder, path, link);
  if (length < 0 || length >= (int)sizeof next)
    return ENAMETOOLONG;
  strcpy(path, next);
  return 0;
}

/* Where a path leads, whether or not there is a file yet. */
static int resolve(const char *path, char *target) {
  if (strlen(path) >= PATH_LENGTH)
    return ENAMETOOLONG;
  strcpy(target, path);
  for (int links = 0; links < MAX_LINKS; links++) {
    char link[PATH_LENGTH];
    ssize_t length = readlink(target, link, sizeof link - 1);
    if (length < 0)
      return 0; /* it is no link; what else is wrong with it is found when the file is opened */
    link[length] = 0;
    int reason = follow(target, link);
    if (reason != 0)
      return reason;
  }
  return ELOOP;
}

/* Names of processes would not do: those of two containers are the same, and a link may lie where others can guess. */
static int open_temporary(nitic_replacement *r) {
  unsigned long long name;
  if (getentropy(&name, sizeof name) != 0)
    return errno;
  int length = snprintf(r->temporary, sizeof r->temporary, "%s.%016llx.tmp", r->path, name);
  if (length < 0 || length >= (int)sizeof r->temporary)
    return ENAMETOOLONG;
  int file = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  r->file = file < 0 ? NULL : fdopen(file, "wb");
  return r->file ? 0 : errno;
}

static int begin(nitic_replacement *r, const char *path) {
  int reason = resolve(path, r->path);
  if (reason != 0)
    return reason;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &r->signals);
  reason = open_temporary(r);
  if (reason != 0)
    pthread_sigmask(SIG_SETMASK, &r->signals, NULL);
  return reason;
}

int nitic_replace_begin(const char *path, nitic_replacement **replacement, FILE **file) {
  nitic_replacement *r = malloc(sizeof *r);
  int reason = r ? begin(r, path) : ENOMEM;
  if (reason != 0) {
    free(r);
    return reason;
  }
  *replacement = r;
  *file = r->file;
  return 0;
}

/* Some file systems cannot. */
static int sync_file(FILE *file) {
  if (fflush(file) != 0)
    return errno;
  return fsync(fileno(file)) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
}

/* After this the rename survives a power cut. That a file system cannot sync directories is no error. */
static void sync_directory(const char *path) {
  char directory[PATH_LENGTH];
  const char *slash = strrchr(path, '/');
  snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0)
    return;
  fsync(file);
  close(file);
}

int nitic_replace_end(nitic_replacement *r, int reason) {
  if (reason == 0)
    reason = sync_file(r->file);
  if (fclose(r->file) != 0 && reason == 0)
    reason = errno;
  if (reason == 0 && rename(r->temporary, r->path) != 0)
    reason = errno;
  if (reason == 0)
    sync_directory(r->path);
  else
    unlink(r->temporary);
  pthread_sigmask(SIG_SETMASK, &r->signals, NULL);
  free(r);
  return reason;
}
