"""The attributes of the ONNX operators that nitic imports: the kind, default and domain of each.

Kinds and defaults are ONNX's own, which the tests compare with its schemas. A domain is ONNX's, less what no integer
form can hold. A handler refuses what is valid, but not supported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from operator import ge, gt, le, lt
from typing import Any

import numpy as np
import onnx

from nitic.arithmetic.integers import Array
from nitic.frontend.values import NodeError
from nitic.ops.activation import LARGEST_SLOPE
from nitic.ops.lrn import MAX_BETA, MAX_SIZE

A = onnx.AttributeProto
T = onnx.TensorProto
_KINDS: dict[int, tuple[str, type]] = {
    A.FLOAT: ("a number", float),
    A.INT: ("an integer", int),
    A.STRING: ("a string", str),
    A.TENSOR: ("a tensor", T),
    A.FLOATS: ("a list of numbers", float),
    A.INTS: ("a list of integers", int),
    A.STRINGS: ("a list of strings", str),
}
_LISTS = frozenset({A.FLOATS, A.INTS, A.STRINGS})
# How a bound compares with a value within it.
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {"above": lt, "at_least": le, "below": gt, "at_most": ge}


_SHOWN = 16
"""Values of a list that a message shows."""


@dataclass(frozen=True)
class Rule:
    """What a value, or each of a list of them, must be."""

    text: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Attribute:
    """A kind (of onnx.AttributeProto), a default, and what a value must be.

    The default is None where the attribute is required, or where its handler knows the default.
    """

    kind: int
    default: float | str | None = None
    rules: tuple[Rule, ...] = ()

    def __str__(self) -> str:
        each = "each " if self.kind in _LISTS and self.rules else ""
        return ", ".join([_KINDS[self.kind][0], *(f"{each}{rule.text}" for rule in self.rules)])

    def check(self, location: str, value: Any) -> None:
        """Raises NodeError, with the location, for a value of another kind or outside the domain."""
        if not self._admits(value):
            raise NodeError(f"{location} is {shown(value)}, but must be {self}")

    def _admits(self, value: Any) -> bool:
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        if is_list != (self.kind in _LISTS):
            return False
        each = value if is_list else (value,)
        return all(isinstance(v, _KINDS[self.kind][1]) and all(rule.holds(v) for rule in self.rules) for v in each)


def as_written(value: float) -> float:
    """0.1 as float32 is not the 0.1 that the user wrote."""
    return float(np.format_float_positional(np.float32(value)))


def shown(value: Any) -> str:
    """A value for a message: of a long list the beginning."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = [shown(each) for each in value[:_SHOWN]] + ["..."] * (len(value) > _SHOWN)
        return f"[{', '.join(texts)}]"
    return repr(as_written(value)) if isinstance(value, float) else repr(value)


def check_values(what: str, array: Array, at_least: float = -inf) -> None:
    """Raises NodeError for the first value of a constant that is not finite, or not `at_least` so large."""
    wrong = np.argwhere(~(np.isfinite(array) & (array >= at_least)))
    if len(wrong):
        index = wrong[0].tolist()
        bound = "" if at_least == -inf else f" and at least {shown(at_least)}"
        raise NodeError(f"{what} holds {shown(float(array[tuple(index)]))} at {index}, but must be finite{bound}")


def _bounds(**bounds: float) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"{word.replace('_', ' ')} {shown(bound)}", partial(_RELATIONS[word], bound))
        for word, bound in bounds.items()
    )


def number(default: float | None = None, **bounds: float) -> Attribute:
    """A finite number within bounds: above, at_least, below, at_most."""
    return Attribute(A.FLOAT, default, (Rule("finite", isfinite), *_bounds(**bounds)))


def numbers() -> Attribute:
    return Attribute(A.FLOATS, rules=number().rules)


def integer(default: int | None = None, **bounds: int) -> Attribute:
    return Attribute(A.INT, default, _bounds(**bounds))


def integers(**bounds: int) -> Attribute:
    return Attribute(A.INTS, rules=_bounds(**bounds))


def flag(default: int) -> Attribute:
    return Attribute(A.INT, default, (Rule("0 or 1", (0, 1).__contains__),))


def word(*values: str) -> Attribute:
    """One of some strings, of which the first is the default."""
    return Attribute(A.STRING, values[0], (Rule(" or ".join(map(repr, values)), values.__contains__),))


def words(*values: str) -> Attribute:
    """A list of some strings."""
    return Attribute(A.STRINGS, rules=word(*values).rules)


def element_type(*types: int, default: int | None = None) -> Attribute:
    names = " or ".join(T.DataType.Name(each) for each in types) if types else "an element type of ONNX"
    return Attribute(A.INT, default, (Rule(names, (types or T.DataType.values()[1:]).__contains__),))


AXIS, AXES = integer(), integers()  # the rank of the input is the bound
SIZE = {"at_least": 1, "at_most": 2**24}  # kernels compute positions in int32
AUTO_PAD = word("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
WINDOW = {
    "auto_pad": AUTO_PAD,
    "dilations": integers(**SIZE),
    "kernel_shape": integers(**SIZE),
    "pads": integers(at_least=0, at_most=SIZE["at_most"]),
    "strides": integers(**SIZE),
}
CONVOLUTION = {**WINDOW, "group": integer(1, **SIZE)}
POOL = {**WINDOW, "ceil_mode": flag(0)}
BLOCKS = {"blocksize": integer(**SIZE), "mode": word("DCR", "CRD")}
CAST = {"round_mode": word("up", "down", "nearest"), "saturate": flag(1)}
REDUCTION = {"axes": AXES, "keepdims": flag(1), "noop_with_empty_axes": flag(0)}
# A table of an activation function has 15 bits more than its constants, and values up to 100 times these.
CONSTANT = {"at_least": -(2**20), "at_most": 2**20}
FLOAT_TYPES = (T.FLOAT, T.FLOAT16, T.DOUBLE, T.BFLOAT16)
RANDOM = {"dtype": element_type(*FLOAT_TYPES, default=T.FLOAT), "shape": integers(at_least=0), "seed": number()}
RANDOM_LIKE = {"dtype": element_type(*FLOAT_TYPES), "seed": number()}
NORM = {"epsilon": number(1e-5, at_least=0)}
FLOATS_BETWEEN = element_type(*FLOAT_TYPES, default=T.FLOAT)
ROW_NORM = {**NORM, "axis": integer(-1), "stash_type": FLOATS_BETWEEN}
NORMAL = {"mean": number(0.0), "scale": number(1.0, at_least=0)}
UNIFORM = {"low": number(0.0), "high": number(1.0)}
RECURRENT = {
    "activation_alpha": numbers(),  # of functions other than these
    "activation_beta": numbers(),
    "activations": words("Relu", "Sigmoid", "Tanh"),
    "clip": number(),
    "direction": word("forward", "reverse", "bidirectional"),
    "hidden_size": integer(**SIZE),
    "layout": flag(0),
}
FLOAT_MAX = 3.4e38  # exporters write it, float32's own limit or infinity for no bound at all
LOWEST, HIGHEST = (float(limit) for limit in (np.finfo(np.float32).min, np.finfo(np.float32).max))

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "Attention": {
        "is_causal": flag(0),
        "kv_num_heads": integer(**SIZE),
        "left_window_size": integer(-1, at_least=-1),
        "q_num_heads": integer(**SIZE),
        "qk_matmul_output_mode": integer(0, at_least=0, at_most=3),
        "right_window_size": integer(-1, at_least=-1),
        "scale": number(above=0),
        "softcap": number(0.0),
        "softmax_precision": FLOATS_BETWEEN,
    },
    "AveragePool": {**POOL, "count_include_pad": flag(0)},
    "BatchNormalization": {
        "epsilon": number(1e-5, at_least=2.0**-48, at_most=2.0**14),  # an int64 in units of 2^-48
        "momentum": number(0.9, at_least=0, at_most=1),
        "training_mode": flag(0),
    },
    "Cast": {**CAST, "to": element_type()},
    "CastLike": CAST,
    "Celu": {"alpha": number(1.0, at_least=2.0**-10, at_most=2.0**10)},
    "Clip": {
        "max": Attribute(A.FLOAT, HIGHEST, _bounds(above=-FLOAT_MAX)),
        "min": Attribute(A.FLOAT, LOWEST, _bounds(below=FLOAT_MAX)),
    },
    "Concat": {"axis": AXIS},
    "Constant": {
        "value": Attribute(A.TENSOR),
        "value_float": Attribute(A.FLOAT),
        "value_floats": Attribute(A.FLOATS),
        "value_int": Attribute(A.INT),
        "value_ints": Attribute(A.INTS),
    },
    "ConstantOfShape": {"value": Attribute(A.TENSOR)},
    "Conv": CONVOLUTION,
    "ConvTranspose": {
        **CONVOLUTION,
        "output_padding": integers(at_least=0, at_most=SIZE["at_most"]),
        "output_shape": integers(**SIZE),
    },
    "DepthToSpace": BLOCKS,
    "Dropout": {"ratio": number(0.5, at_least=0, below=1), "seed": integer()},
    "Elu": {"alpha": number(1.0, **CONSTANT)},
    "Flatten": {"axis": integer(1)},
    "GRU": {**RECURRENT, "linear_before_reset": flag(0)},
    "Gather": {"axis": integer(0)},
    "Gelu": {"approximate": word("none", "tanh")},
    "Gemm": {"alpha": number(1.0), "beta": number(1.0), "transA": flag(0), "transB": flag(0)},
    "GroupNormalization": {**NORM, "num_groups": integer(**SIZE), "stash_type": FLOATS_BETWEEN},
    "HardSigmoid": {"alpha": number(0.2, at_most=LARGEST_SLOPE), "beta": number(0.5)},
    "InstanceNormalization": NORM,
    "LRN": {
        "alpha": number(1e-4, above=0),
        "beta": number(0.75, at_least=0, at_most=MAX_BETA),
        "bias": number(1.0, above=0),
        "size": integer(at_least=1, at_most=MAX_SIZE),
    },
    "LSTM": {**RECURRENT, "input_forget": flag(0)},
    "LayerNormalization": ROW_NORM,
    "LeakyRelu": {"alpha": number(0.01)},
    "LogSoftmax": {"axis": AXIS},
    "MaxPool": {**POOL, "storage_order": flag(0)},
    "Pad": {"mode": word("constant", "reflect", "edge", "wrap"), "pads": integers(), "value": number(0.0)},
    "RMSNormalization": ROW_NORM,
    "RNN": RECURRENT,
    "RandomNormal": {**RANDOM, **NORMAL},
    "RandomNormalLike": {**RANDOM_LIKE, **NORMAL},
    "RandomUniform": {**RANDOM, **UNIFORM},
    "RandomUniformLike": {**RANDOM_LIKE, **UNIFORM},
    "ReduceL1": REDUCTION,
    "ReduceL2": REDUCTION,
    "ReduceMax": REDUCTION,
    "ReduceMean": REDUCTION,
    "ReduceMin": REDUCTION,
    "ReduceSum": REDUCTION,
    "ReduceSumSquare": REDUCTION,
    "Reshape": {"allowzero": flag(0)},
    "Resize": {
        "antialias": flag(0),
        "axes": AXES,
        "coordinate_transformation_mode": word(
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_half_pixel_for_nn",
            "tf_crop_and_resize",
        ),
        "cubic_coeff_a": number(-0.75),
        "exclude_outside": flag(0),
        "extrapolation_value": number(0.0),
        "keep_aspect_ratio_policy": word("stretch"),
        "mode": word("nearest", "linear", "cubic"),
        "nearest_mode": word("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    },
    "ReverseSequence": {"batch_axis": flag(1), "time_axis": flag(0)},
    "Selu": {"alpha": number(1.6732631921768188, **CONSTANT), "gamma": number(1.0507010221481323, **CONSTANT)},
    "Shape": {"end": integer(), "start": integer(0)},
    "Slice": {"axes": AXES, "ends": integers(), "starts": integers()},
    "Softmax": {"axis": AXIS},
    "SpaceToDepth": BLOCKS,
    "Split": {"axis": integer(0), "num_outputs": integer(at_least=1), "split": integers(at_least=0)},
    "Squeeze": {"axes": AXES},
    "Swish": {"alpha": number(1.0)},
    "ThresholdedRelu": {"alpha": number(1.0)},
    "Transpose": {"perm": integers(at_least=0)},
    "Unsqueeze": {"axes": AXES},
}
