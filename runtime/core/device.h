/* core/device.h: what runs a program's functions. A binary has one device, chosen by what it is linked with:
 * cpu/device.c, threads of this machine, or cuda/device.c, an NVIDIA GPU. Nothing else knows which.
 *
 * All named tensors lie in the host's memory. A device with memory of its own copies the batch and the hyper tensors to
 * it for every run, and metrics and outputs back; it copies the state back only when asked. Several runs may be in
 * flight: they finish in the order in which they were started. */
#ifndef NITIC_CORE_DEVICE_H
#define NITIC_CORE_DEVICE_H

#include <stdbool.h>

#include "nitic.h"

enum { NITIC_MAX_DEPTH = 4 };

typedef struct nitic_device nitic_device;

/* Chooses the variant and allocates the host's memory; nitic_session_create says what `threads` and `variant` are. */
int nitic_device_create(const nitic_program *program, int threads, const char *variant, nitic_device **device);
void nitic_device_destroy(nitic_device *device);
const nitic_variant *nitic_device_variant(const nitic_device *device);
int nitic_device_threads(const nitic_device *device);
/* The name of the device, to be shown, once it is open; NULL for a CPU. */
const char *nitic_device_name(const nitic_device *device);
/* To call once, before the first batch: makes the device ready, or says why this machine cannot run the program. */
int nitic_device_open(nitic_device *device);
/* Whether this machine runs a variant. It knows the CPU; for a GPU only nitic_device_open finds out. */
bool nitic_variant_supported(const nitic_variant *variant);

/* The named tensors at their offsets, except input and label: those are where nitic_device_batch says. */
uint8_t *nitic_device_memory(nitic_device *device);
/* Where to write the batch of the next run. */
void nitic_device_batch(nitic_device *device, uint8_t **input, int32_t **label);
/* How many runs may be in flight, 1 to NITIC_MAX_DEPTH: with so many, the oldest must be waited for before the next
 * batch is written. */
int nitic_device_depth(const nitic_device *device);

/* A row of a batch, made of a sample that the device keeps: its index, and the box of the input's size in it. */
typedef struct {
  int32_t sample, y, x, mirrored;
} nitic_pick;

/* A data set of which a device may keep a copy. */
typedef struct {
  const void *data;
  void (*read)(const void *data, int64_t index, uint8_t *sample); /* as the program takes it */
  int64_t count;
  const uint8_t *pad; /* the pixel outside of a sample, one value for each channel; NULL: no pick reaches there */
} nitic_samples;

/* Copies samples to the device's own memory, if it has one with enough room. *kept becomes the number of the copy, 0
 * where there is none. No run may be in flight. */
int nitic_device_keep(nitic_device *device, const nitic_samples *samples, int32_t *kept);
/* Where to write the picks of the next run from a copy, one for each row of its batch. Labels come from the host. */
nitic_pick *nitic_device_pick(nitic_device *device, int32_t kept);

/* Starts a function. It may be in flight on return: then a later call reports its failure. */
int nitic_device_run(nitic_device *device, nitic_kind kind);
/* Waits for the oldest run in flight: then its metrics and outputs are in the host's memory. */
int nitic_device_wait(nitic_device *device);

/* Brings the state to the host's memory. No run may be in flight, here and in the next two. */
int nitic_device_read(nitic_device *device);
/* The host has changed its copy of the state, which must have been the newest: the next run starts from it. */
void nitic_device_written(nitic_device *device);
/* Sets all memory to zero, as it was in the beginning. */
void nitic_device_clear(nitic_device *device);

#endif
