"""NumPy helpers of the operator references: exact products, sliding windows and their adjoint, blocks of elements."""

from collections.abc import Callable, Sequence

import numpy as np

from nitic.arithmetic.integers import Array

BLOCK = 2**16


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b, of matrices or stacks of them; for integers exactly, through BLAS.

    The sum is cut where a partial sum could leave what single precision holds exactly, 2^24, or where so few terms
    fit, double precision, 2^53.
    """
    if a.dtype.kind == "f":
        return a @ b
    product = max(1, _magnitude(a) * _magnitude(b))
    if product >= 2**47:
        return a.astype(np.int64) @ b.astype(np.int64)
    dtype, terms = (np.float32, 2**24 // product) if product <= 2**18 else (np.float64, 2**53 // product)
    out = np.zeros((*a.shape[:-1], b.shape[-1]), np.int64)
    for k in range(0, a.shape[-1], terms):
        out += (a[..., k : k + terms].astype(dtype) @ b[..., k : k + terms, :].astype(dtype)).astype(np.int64)
    return out


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


def in_blocks(function: Callable[..., Array | tuple[Array, ...]], *arrays: Array) -> tuple[Array, ...]:
    """What an element-wise function of arrays of one shape gives, block by block: its temporaries stay in the cache."""
    flat = [array.reshape(-1) for array in arrays]
    blocks = [function(*(each[i : i + BLOCK] for each in flat)) for i in range(0, max(1, flat[0].size), BLOCK)]
    columns = zip(*(block if isinstance(block, tuple) else (block,) for block in blocks), strict=True)
    return tuple(np.concatenate(parts).reshape(arrays[0].shape) for parts in columns)
