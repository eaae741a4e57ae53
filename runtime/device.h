/* device.h: what runs a program's functions. A binary has one device, chosen by what it is linked with: device_cpu.c,
 * threads of this machine, or device_cuda.c, an NVIDIA GPU. Nothing else knows which.
 *
 * The named tensors have a place in the host's memory. A device whose memory is another takes the batch and the hyper
 * tensors along with every run and brings metrics and outputs back; the state it brings when asked. Several runs may be
 * on their way: they finish in the order of their starts. */
#ifndef NITIC_DEVICE_H
#define NITIC_DEVICE_H

#include <stdbool.h>

#include "nitic.h"

enum { NITIC_MAX_DEPTH = 4 };

typedef struct nitic_device nitic_device;

/* Memory of the host, and a variant to run; nitic_session_create says what `threads` and `variant` are. */
int nitic_device_create(const nitic_program *program, int threads, const char *variant, nitic_device **device);
void nitic_device_destroy(nitic_device *device);
const nitic_variant *nitic_device_variant(const nitic_device *device);
int nitic_device_threads(const nitic_device *device);
/* What it is, for people, once it is open; NULL where that is no news. */
const char *nitic_device_name(const nitic_device *device);
/* Once, before the first batch: makes the device ready, or tells why the machine cannot run the program. */
int nitic_device_open(nitic_device *device);

/* The named tensors at their offsets: those of input and label are elsewhere. */
uint8_t *nitic_device_memory(nitic_device *device);
/* Where the next run finds its batch. */
void nitic_device_batch(nitic_device *device, uint8_t **input, int32_t **label);
/* How many runs may be unfinished before the next batch is written: 1 to NITIC_MAX_DEPTH. */
int nitic_device_depth(const nitic_device *device);

/* A row of a batch: a sample that the device keeps, and where in it the row begins (nitic_box). */
typedef struct {
  int32_t sample, y, x, mirrored;
} nitic_pick;

/* What a device may keep. */
typedef struct {
  const void *data;
  void (*read)(const void *data, int64_t index, uint8_t *sample); /* as the program takes it */
  int64_t count;
  const uint8_t *pad; /* the pixel outside of a sample, one for each channel; NULL: no pick reaches there */
} nitic_samples;

/* Copies samples to the device's memory, if that is not the host's and has room. *kept becomes the name of the copy, 0
 * where there is none. No run may be unfinished. */
int nitic_device_keep(nitic_device *device, const nitic_samples *samples, int32_t *kept);
/* Where the caller writes what the next run picks of a copy, for each row of its batch. Labels come from the host. */
nitic_pick *nitic_device_pick(nitic_device *device, int32_t kept);

/* Starts a function. It may be unfinished on return, and its failure be told by a later call. */
int nitic_device_run(nitic_device *device, nitic_kind kind);
/* Finishes the oldest run: its metrics and outputs are in the host's memory. */
int nitic_device_wait(nitic_device *device);

/* Brings the state to the host's memory. No run may be unfinished, here and in the next two. */
int nitic_device_read(nitic_device *device);
/* The host has changed its state: the next run takes it. The host's must have been the newest. */
void nitic_device_written(nitic_device *device);
/* Makes all memory zero, as it was in the beginning. */
void nitic_device_clear(nitic_device *device);

#endif
