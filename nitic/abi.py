"""What Python mirrors of the runtime's C interface (runtime/nitic.h); tests/runtime/test_abi.py compares all of it."""

import ctypes

import numpy as np

DTYPES = (np.uint8, np.int8, np.int16, np.int32, np.int64)  # by nitic_dtype
MAX_RANK = 6


class Metrics(ctypes.Structure):
    """nitic_metrics."""

    _fields_ = (("loss", ctypes.c_int64), ("correct", ctypes.c_int64), ("count", ctypes.c_int64))


class Progress(ctypes.Structure):
    """nitic_progress."""

    _fields_ = (
        ("seed", ctypes.c_int64),
        ("epochs", ctypes.c_int64),
        ("epoch", ctypes.c_int64),
        ("epoch_step", ctypes.c_int64),
        ("step", ctypes.c_int64),
        ("samples", ctypes.c_int64),
        ("running", Metrics),
    )


class Tensor(ctypes.Structure):
    """nitic_tensor."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("role", ctypes.c_uint),
        ("dtype", ctypes.c_uint),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_int64 * MAX_RANK),
        ("offset", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
    )
