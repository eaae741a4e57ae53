/* core/system.h: what the runtime asks of the system that it runs on, beside core/pool.h and hosted/replace.h. A binary
 * is linked with one of two folders that answer: posix/, which has all of it, or standard/, which has what ISO C has:
 * one thread, files that are read as a whole, and the signals of C. Nothing else knows which, or includes a header that
 * is not ISO C's. */
#ifndef NITIC_CORE_SYSTEM_H
#define NITIC_CORE_SYSTEM_H

#include <stdbool.h>

#include "nitic.h"

#if defined(__GNUC__)
#define NITIC_PRINTS(text, first) __attribute__((format(printf, text, first)))
#else
#define NITIC_PRINTS(text, first)
#endif

/* ---- memory, time, the processor */

/* Zeros, from a multiple of 64 bytes on; NULL where there are not so many. */
void *nitic_memory(size_t bytes);
void nitic_memory_free(void *memory, size_t bytes);
/* Of a clock that goes forward. */
int64_t nitic_nanoseconds(void);
/* Whether this processor has what a variant needs of it. */
bool nitic_is_met(const nitic_requirement *need);
/* Memory of the calling thread, for its last error. */
enum { NITIC_SENTENCE = 1024 };
char *nitic_sentence(void);

/* ---- work beside the caller's own, which only waits where there are no threads */

typedef struct nitic_helper nitic_helper;

/* *helper becomes NULL where there are no threads. */
int nitic_helper_create(void (*work)(void *argument), void *argument, nitic_helper **helper);
void nitic_helper_destroy(nitic_helper *helper);
/* Begins the work, and waits until it is done. What either side writes before, the other one sees after. */
void nitic_helper_start(nitic_helper *helper);
void nitic_helper_wait(nitic_helper *helper);

/* ---- the process */

/* To call first: makes the standard streams usable, and lets a signal that would end the process only make
 * nitic_interrupted true. A second one from a person, by a terminal, ends it. */
void nitic_process_begin(void);
/* The same where the reader of an output goes away; the write fails too. */
void nitic_catch_broken_pipes(void);
bool nitic_interrupted(void);
/* How wide the terminal is that standard error goes to; 0 where it is none. */
int nitic_terminal_columns(void);

/* ---- files; paths are as the system takes them */

typedef enum { NITIC_NOTHING, NITIC_FILE, NITIC_FOLDER, NITIC_SPECIAL } nitic_found;

/* What lies at a path. `bytes`, of a file, may be NULL. */
nitic_found nitic_look(const char *path, uint64_t *bytes);
/* Fails where it is known that no folder lies there. */
int nitic_check_folder(const char *path);
/* The largest number of the files in `folder` that are called `prefix`, a number of at least `digits` digits, and
 * `suffix`; -1: there are none. `folder` ends in a slash, or is "". */
int nitic_largest_number(const char *folder, const char *prefix, int digits, const char *suffix);
/* The first bytes of a file, `most` of them at most, to be freed by the caller. */
int nitic_read(const char *path, uint64_t most, char **data, uint64_t *bytes);
/* A file as memory that is only read. Files are mapped and unmapped by one thread, while no other one reads. */
int nitic_map(const char *path, const uint8_t **bytes, size_t *size);
void nitic_unmap(const uint8_t *bytes, size_t size);
/* A part of a mapped file will be read soon. */
void nitic_will_need(const uint8_t *bytes, size_t size);
/* The path of a file that became shorter while it was mapped, or NULL. What is read of it since then are zeros. */
const char *nitic_file_lost(void);
/* The path of a mapped file that was written to since, or NULL. */
const char *nitic_file_changed(void);

#endif
