/* data/batch.h: a batch: written to the input tensors, or picked from the samples that the device keeps. */
#ifndef NITIC_DATA_BATCH_H
#define NITIC_DATA_BATCH_H

#include "data/dataset.h"

/* Lets the device keep a copy of the samples, if it can; it never keeps packed images. `pad`: of nitic_draw, or NULL.
 */
int nitic_batch_keep(const nitic_session *session, nitic_dataset *data, const uint8_t *pad);
/* Makes the batch of the next run: samples `first` to `first` + `count` - 1, as evaluation sees them. Fails where a
 * file became shorter. */
int nitic_batch_fill(const nitic_session *session, const nitic_dataset *data, int64_t first, int32_t count);
/* Makes the batch of the next run, as training sees it, of data that the device keeps: samples order[0 .. batch). */
void nitic_batch_draw(const nitic_session *session, const nitic_dataset *data, const nitic_draw *draw,
                      const int64_t *order);

#endif
