"""What the runtime does with data sets, in NumPy: the order in which an epoch visits the samples."""

import numpy as np
from numpy.typing import NDArray

from nitic.numerics import philox

SHUFFLE_STREAM = 0x73687566
"""The random stream of the shuffle ("shuf"); the operators of a program have small stream numbers."""


def shuffle(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The samples of an epoch in the order of training, as nitic_shuffle in runtime/random.c.

    Sample i has the 64-bit key w0 + 2^32 w1, where w is Philox4x32-10 with key = seed and counter =
    (i low, i high, SHUFFLE_STREAM, epoch). Samples are sorted by key, those of equal keys by i. Training leaves out the
    last count mod batch of them.
    """
    words = philox(np.arange(count), SHUFFLE_STREAM, epoch, seed)
    keys = words[0].astype(np.uint64) | words[1].astype(np.uint64) << np.uint64(32)
    return np.argsort(keys, kind="stable").astype(np.int64)
