/* batch.h: the samples and labels of a batch: written to the input tensors, or picked from what the device keeps. */
#ifndef NITIC_BATCH_H
#define NITIC_BATCH_H

#include "data.h"

/* Lets the device keep the samples, where it can; packed images it never does. `pad` as nitic_draw has it, or NULL. */
int nitic_batch_keep(const nitic_session *session, nitic_dataset *data, const uint8_t *pad);
/* The batch of the next run: samples `first` to `first` + `count` - 1, as evaluation sees them. */
void nitic_batch_gather(const nitic_session *session, const nitic_dataset *data, int64_t first, int32_t count);
/* As training sees them, of data that is kept: one for each row of the batch. */
void nitic_batch_draw(const nitic_session *session, const nitic_dataset *data, const nitic_draw *draw,
                      const int64_t *order);

#endif
