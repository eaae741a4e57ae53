/* data/parts.h: the table of a data set's files. A sample's index counts through them in their order. */
#ifndef NITIC_DATA_PARTS_H
#define NITIC_DATA_PARTS_H

#include "data/dataset.h"

/* A zeroed part at the end of data->parts, NULL (and an error) when there is no room. */
nitic_part *nitic_parts_add(nitic_dataset *data);
/* Checks all labels and counts the samples, when all parts are there. */
int nitic_parts_check(nitic_dataset *data);
/* The part that holds a sample; *index becomes that in the part. */
const nitic_part *nitic_parts_find(const nitic_dataset *data, int64_t *index);
/* -1 where the part has no labels. */
int32_t nitic_part_label(const nitic_part *part, int64_t index);

#endif
