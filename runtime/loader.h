/* loader.h: the batches of training, one after another. Where making one is more than copying it, a thread makes the
 * next batch while the step computes; where the device keeps the data, a batch is but picks. What is in it does not
 * depend on that. */
#ifndef NITIC_LOADER_H
#define NITIC_LOADER_H

#include "data.h"

typedef struct nitic_loader nitic_loader;

/* For a session whose input statistics are set. The device may come to keep the data. */
int nitic_loader_create(const nitic_session *session, nitic_dataset *data, nitic_loader **loader);
void nitic_loader_destroy(nitic_loader *loader);

/* Batch `first` to `end` - 1 of the epoch that visits the samples in this order, which stays the caller's. */
void nitic_loader_begin(nitic_loader *loader, const int64_t *order, int64_t first, int64_t end);
/* Puts the next batch into the input tensors. */
void nitic_loader_next(nitic_loader *loader);

#endif
