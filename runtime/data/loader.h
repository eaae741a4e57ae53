/* data/loader.h: the batches of training, one after another. Where making one is more than copying it, a thread makes
 * the next batch while the step computes; where the device keeps the data, a batch is a list of picks. Its samples are
 * the same either way. */
#ifndef NITIC_DATA_LOADER_H
#define NITIC_DATA_LOADER_H

#include "data/dataset.h"

typedef struct nitic_loader nitic_loader;

/* For a session whose input statistics are set. Lets the device keep a copy of the data, if it can. */
int nitic_loader_create(const nitic_session *session, nitic_dataset *data, nitic_loader **loader);
void nitic_loader_destroy(nitic_loader *loader);

/* The batches that follow are `first` to `end` - 1 of an epoch in this order, which the caller owns and keeps. */
void nitic_loader_begin(nitic_loader *loader, const int64_t *order, int64_t first, int64_t end);
/* Puts the next batch into the input tensors. Fails where a file became shorter. */
int nitic_loader_next(nitic_loader *loader);

#endif
