/* hosted/replace.h: a file that is written in one go: what was there stays until the new one is complete. */
#ifndef NITIC_HOSTED_REPLACE_H
#define NITIC_HOSTED_REPLACE_H

#include <stdio.h>

typedef struct nitic_replacement nitic_replacement;

/* Both return 0, or an errno that says why not. *file is what to write to. Between the two this thread gets no signals,
 * so that none leaves the temporary file. */
int nitic_replace_begin(const char *path, nitic_replacement **replacement, FILE **file);
/* Closes the file. It takes its place, on the disk itself, if `reason`, why it could not be written, is 0; else it is
 * removed. */
int nitic_replace_end(nitic_replacement *replacement, int reason);

#endif
