"""NumPy helpers of the operator references: exact products, sliding windows and their adjoint."""

from collections.abc import Sequence

import numpy as np

from nitic.numerics import Array


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b; for integers exactly, through BLAS where every partial sum is below 2^53 (2^24 in single precision)."""
    if a.dtype.kind == "f":
        return a @ b
    bound = _magnitude(a) * _magnitude(b) * a.shape[-1]
    if bound >= 2**53:
        return a.astype(np.int64) @ b.astype(np.int64)
    dtype = np.float32 if bound < 2**24 else np.float64
    return (a.astype(dtype) @ b.astype(dtype)).astype(np.int64)


def _magnitude(a: Array) -> int:
    return max(abs(int(a.min(initial=0))), int(a.max(initial=0)))


def windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int] = (1, 1),
    fill: float = 0,
) -> Array:
    """x (N, H, W, C), padded with `fill`, as a view (N, OH, OW, KH, KW, C)."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, spans, (1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def unwindows(
    w: Array, shape: Sequence[int], strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> Array:
    """The adjoint of `windows`: sums (N, OH, OW, KH, KW, C) back into an array of `shape` (N, H, W, C)."""
    (n, height, width, c), (top, left, bottom, right) = shape, pads
    _, oh, ow, kh, kw, _ = w.shape
    out = np.zeros((n, height + top + bottom, width + left + right, c), w.dtype)
    for i in range(kh):
        for j in range(kw):
            y, x = i * dilations[0], j * dilations[1]
            out[:, y : y + strides[0] * oh : strides[0], x : x + strides[1] * ow : strides[1]] += w[:, :, :, i, j]
    return out[:, top : top + height, left : left + width]
