"""Attributes of ONNX nodes: the importer's table against ONNX's schemas, and a sentence for every wrong value."""

from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import AttributeProto, defs, helper

from nitic.errors import CompileError
from nitic.frontend.attributes import ATTRIBUTES
from nitic.frontend.folding import GENERATORS
from nitic.frontend.importer import import_onnx
from nitic.frontend.nodes import Node
from nitic.frontend.operators import HANDLERS
from nitic.frontend.values import NodeError
from tests.support.onnx_models import Array, random, save_network

OPERATORS = sorted({*HANDLERS, *GENERATORS, "Constant", "Shape", "Size"})
OPSETS = range(9, defs.onnx_opset_version() + 1)
REFUSED = {("Constant", name) for name in ("sparse_value", "value_string", "value_strings")}
BY_OPSET = {("Softmax", "axis"), ("LogSoftmax", "axis")}  # their default changed
BY_DIRECTION = {("RNN", "activations")}  # their default has as many values as there are directions
UNBOUNDED = {  # any value of the kind, where the shapes and inputs do not say more
    *(("Constant", name) for name in ATTRIBUTES["Constant"]),
    ("ConstantOfShape", "value"),
    ("Dropout", "seed"),
    *(("Shape", name) for name in ("start", "end")),
    *(("Slice", name) for name in ("starts", "ends")),
    ("Pad", "pads"),
}

Wrong = tuple[str, list[Any]]
FINITE: Wrong = ("a number, finite", [nan, inf, -inf])
FLAG: Wrong = ("an integer, 0 or 1", [-1, 2])
SIZES: Wrong = ("a list of integers, each at least 1, each at most 16777216", [[0, 1], [1, -2], [2**40, 1]])
PADS: Wrong = ("a list of integers, each at least 0, each at most 16777216", [[-1, 0, 0, 0], [0, 0, 0, 2**62]])
SIZE: Wrong = ("an integer, at least 1, at most 16777216", [0, -1, 2**40])
CONSTANT: Wrong = ("a number, finite, at least -1048576, at most 1048576", [nan, inf, -inf, 2.0**21, -(2.0**21)])
NORM: Wrong = ("a number, finite, at least 0", [nan, inf, -1.0])
ROW_NORMS = ("GroupNormalization", "InstanceNormalization", "LayerNormalization", "RMSNormalization")
FLOATS = "FLOAT or FLOAT16 or DOUBLE or BFLOAT16"
# What each attribute must be, and values that are not. By name, where it means the same in all operators.
NAMED: dict[str, Wrong] = {
    "activation_alpha": ("a list of numbers, each finite", [[nan], [1.0, inf]]),
    "activation_beta": ("a list of numbers, each finite", [[nan], [1.0, inf]]),
    "activations": ("a list of strings, each 'Relu' or 'Sigmoid' or 'Tanh'", [["Affine"], ["Tanh", ""]]),
    "allowzero": FLAG,
    "approximate": ("a string, 'none' or 'tanh'", ["", "erf"]),
    "auto_pad": ("a string, 'NOTSET' or 'SAME_UPPER' or 'SAME_LOWER' or 'VALID'", ["SAME", "valid"]),
    "batch_axis": FLAG,
    "blocksize": SIZE,
    "ceil_mode": FLAG,
    "clip": FINITE,
    "count_include_pad": FLAG,
    "dilations": SIZES,
    "direction": ("a string, 'forward' or 'reverse' or 'bidirectional'", ["", "backward"]),
    "dtype": (f"an integer, {FLOATS}", [0, 7, 99]),
    "epsilon": ("a number, finite, at least 3.5527137e-15, at most 16384.0", [nan, inf, -inf, -1.0, 0.0, 1e-20, 1e5]),
    "group": SIZE,
    "hidden_size": SIZE,
    "high": FINITE,
    "input_forget": FLAG,
    "is_causal": FLAG,
    "keepdims": FLAG,
    "kv_num_heads": SIZE,
    "q_num_heads": SIZE,
    "qk_matmul_output_mode": ("an integer, at least 0, at most 3", [-1, 4]),
    "softcap": FINITE,
    "softmax_precision": (f"an integer, {FLOATS}", [0, 7, 99]),
    "kernel_shape": SIZES,
    "layout": FLAG,
    "left_window_size": ("an integer, at least -1", [-2]),
    "linear_before_reset": FLAG,
    "low": FINITE,
    "max": ("a number, above -3.4e+38", [nan, -inf]),
    "mean": FINITE,
    "min": ("a number, below 3.4e+38", [nan, inf]),
    "momentum": ("a number, finite, at least 0, at most 1", [nan, inf, -inf, -0.1, 1.5]),
    "noop_with_empty_axes": FLAG,
    "num_groups": SIZE,
    "num_outputs": ("an integer, at least 1", [0, -2]),
    "output_padding": ("a list of integers, each at least 0, each at most 16777216", [[-1, 0]]),
    "output_shape": SIZES,
    "pads": PADS,
    "perm": ("a list of integers, each at least 0", [[-1, 0]]),
    "ratio": ("a number, finite, at least 0, below 1", [nan, inf, -0.5, 1.0]),
    "right_window_size": ("an integer, at least -1", [-2]),
    "round_mode": ("a string, 'up' or 'down' or 'nearest'", ["down_up"]),
    "saturate": FLAG,
    "scale": ("a number, finite, at least 0", [nan, inf, -1.0]),
    "seed": FINITE,
    "shape": ("a list of integers, each at least 0", [[2, -1]]),
    "split": ("a list of integers, each at least 0", [[3, -1]]),
    "stash_type": (f"an integer, {FLOATS}", [0, 7, 99]),
    "storage_order": FLAG,
    "strides": SIZES,
    "to": ("an integer, an element type of ONNX", [0, -1, 99]),
    "training_mode": FLAG,
    "time_axis": FLAG,
    "transA": FLAG,
    "transB": FLAG,
    "value": FINITE,
}
OWN: dict[tuple[str, str], Wrong] = {
    ("Attention", "scale"): ("a number, finite, above 0", [nan, inf, 0.0, -1.0]),
    ("Celu", "alpha"): ("a number, finite, at least 0.0009765625, at most 1024.0", [nan, inf, 0.0, -1.0, 2e3]),
    ("DepthToSpace", "mode"): ("a string, 'DCR' or 'CRD'", ["", "dcr"]),
    ("Elu", "alpha"): CONSTANT,
    ("Gemm", "alpha"): FINITE,
    ("Gemm", "beta"): FINITE,
    ("HardSigmoid", "alpha"): ("a number, finite, at most 128.0", [nan, inf, -inf, 1e4]),
    ("HardSigmoid", "beta"): FINITE,
    **{(op, "epsilon"): NORM for op in ROW_NORMS},
    ("LRN", "alpha"): ("a number, finite, above 0", [nan, inf, 0.0, -1.0]),
    ("LRN", "beta"): ("a number, finite, at least 0, at most 16", [nan, -1.0, 17.0]),
    ("LRN", "bias"): ("a number, finite, above 0", [nan, inf, 0.0, -1.0]),
    ("LRN", "size"): ("an integer, at least 1, at most 1024", [0, -1, 1025]),
    ("LeakyRelu", "alpha"): FINITE,
    ("Pad", "mode"): ("a string, 'constant' or 'reflect' or 'edge' or 'wrap'", ["zeros"]),
    ("Resize", "antialias"): FLAG,
    ("Resize", "coordinate_transformation_mode"): (
        (
            "a string, 'half_pixel' or 'half_pixel_symmetric' or 'pytorch_half_pixel' or 'align_corners' or "
            "'asymmetric' or 'tf_half_pixel_for_nn' or 'tf_crop_and_resize'"
        ),
        ["", "half"],
    ),
    ("Resize", "cubic_coeff_a"): FINITE,
    ("Resize", "exclude_outside"): FLAG,
    ("Resize", "extrapolation_value"): FINITE,
    ("Resize", "keep_aspect_ratio_policy"): ("a string, 'stretch'", ["not_larger", "not_smaller"]),
    ("Resize", "mode"): ("a string, 'nearest' or 'linear' or 'cubic'", ["", "area"]),
    ("Resize", "nearest_mode"): (
        "a string, 'round_prefer_floor' or 'round_prefer_ceil' or 'floor' or 'ceil'",
        ["", "round"],
    ),
    ("Selu", "alpha"): CONSTANT,
    ("Selu", "gamma"): CONSTANT,
    ("SpaceToDepth", "mode"): ("a string, 'DCR' or 'CRD'", ["", "dcr"]),
    ("Swish", "alpha"): FINITE,
    ("ThresholdedRelu", "alpha"): FINITE,
}
PLACES = {"axis", "axes"}  # the rank of the input is their bound: test_what_only_shapes_say
TABLE = [(op, name) for op, attributes in ATTRIBUTES.items() for name in attributes]
BOUNDED = [key for key in TABLE if key not in UNBOUNDED and key[1] not in PLACES]
UNNAMED = [key for key in BOUNDED if key not in OWN and key[1] not in NAMED]
assert not UNNAMED, f"give these attributes wrong values in NAMED: {UNNAMED}"
CASES = [(*key, value) for key in BOUNDED for value in (OWN.get(key) or NAMED[key[1]])[1]]
REQUIRED: dict[str, dict[str, Any]] = {
    "AveragePool": {"kernel_shape": [1, 1]},
    "Cast": {"to": 1},
    "Concat": {"axis": 1},
    "DepthToSpace": {"blocksize": 1},
    "GroupNormalization": {"num_groups": 1},
    "LRN": {"size": 1},
    "MaxPool": {"kernel_shape": [1, 1]},
    "RandomNormal": {"shape": [2, 6]},
    "RandomUniform": {"shape": [2, 6]},
    "SpaceToDepth": {"blocksize": 1},
}


def schema_attributes(op: str) -> dict[int, dict[str, Any]]:
    """By opset, those of ONNX's schema."""
    return {v: dict(defs.get_schema(op, v).attributes) for v in OPSETS if defs.has(op, v)}


def newest_with(op: str, name: str) -> int:
    return max(version for version, attributes in schema_attributes(op).items() if name in attributes)


def failure(tmp_path: Path, op: str, opset: int, inputs: str, values: dict[str, Array], **attributes: Any) -> str:
    nodes = [helper.make_node(op, inputs.split(), ["y"], name="n", **attributes)]
    path = save_network(tmp_path / "net.onnx", nodes, (2, 6), values, opset)
    with pytest.raises(CompileError) as caught:
        import_onnx(path)
    return str(caught.value)


@pytest.mark.parametrize("op", OPERATORS)
def test_the_table_has_every_attribute_of_onnx(op: str) -> None:
    known = ATTRIBUTES.get(op, {})
    schemas = [(n, each) for attributes in schema_attributes(op).values() for n, each in attributes.items()]
    schemas = [(name, schema) for name, schema in schemas if (op, name) not in REFUSED]
    assert {name for name, _ in schemas} == set(known)
    assert set(ATTRIBUTES) <= set(OPERATORS)
    for name, schema in schemas:
        assert known[name].kind == schema.type.value
        if schema.default_value.type != AttributeProto.UNDEFINED and (op, name) not in BY_OPSET | BY_DIRECTION:
            default = helper.get_attribute_value(schema.default_value)
            default = default.decode() if isinstance(default, bytes) else default
            assert known[name].default == (pytest.approx(default) if isinstance(default, float) else default)


@pytest.mark.parametrize(("op", "name", "value"), CASES)
def test_wrong_value(tmp_path: Path, op: str, name: str, value: Any) -> None:
    rule, _ = OWN.get((op, name)) or NAMED[name]
    opset = newest_with(op, name)
    needed = REQUIRED.get(op, {})
    if op == "Pad" and opset < 11:
        needed = {"pads": [0, 0, 0, 0]}
    inputs = ["x", "c", "c", "c", "c"][: defs.get_schema(op, opset).min_input]
    values = {"c": np.ones(6, np.int64 if op in {"Pad", "Reshape"} else np.float32)}
    message = failure(tmp_path, op, opset, " ".join(inputs), values, **{**needed, name: value})
    assert message == f"net.onnx: node 'n' ({op}): attribute {name!r} is {value!r}, but must be {rule}"


@pytest.mark.parametrize(
    ("op", "name", "value", "expected"),
    [
        ("LRN", "size", 1.5, "attribute 'size' is 1.5, but must be an integer, at least 1, at most 1024"),
        ("LRN", "alpha", 1, "attribute 'alpha' is 1, but must be a number, finite, above 0"),
        ("LRN", "alpha", [1.0], "attribute 'alpha' is [1.0], but must be a number, finite, above 0"),
        ("Conv", "auto_pad", 1, "attribute 'auto_pad' is 1, but must be a string, "),
        ("Conv", "strides", 1, "attribute 'strides' is 1, but must be a list of integers, each at least 1"),
        ("Conv", "strides", [1.0, 0.1], "attribute 'strides' is [1.0, 0.1], but must be a list of integers"),
        ("Conv", "strides", "11", "attribute 'strides' is '11', but must be a list of integers"),
        ("Constant", "value", 1.0, "attribute 'value' is 1.0, but must be a tensor"),
        ("Constant", "sparse_value", 1, "attribute 'sparse_value' is not supported"),
        ("Relu", "alpha", 0.5, "attribute 'alpha' is not supported"),
    ],
)
def test_wrong_kind(op: str, name: str, value: Any, expected: str) -> None:
    """ONNX's checker refuses these in a file, unless they come in a function of another opset."""
    node = Node(helper.make_node(op, [], ["y"], **{name: value}), 17)
    with pytest.raises(NodeError) as caught:
        node.check_attributes()
    assert str(caught.value).startswith(expected)


def test_missing_attribute() -> None:
    with pytest.raises(NodeError, match=r"^attribute 'size' is missing$"):
        Node(helper.make_node("LRN", ["x"], ["y"]), 17).integer("size")


SOME = {"i": np.asarray([0], np.int64), "w": random(6, 6)}


@pytest.mark.parametrize(
    ("op", "inputs", "opset", "attributes", "expected"),
    [
        ("Concat", "x x", 17, {"axis": 2}, "attribute 'axis' is 2, but must be from -2 to 1 for an input of [2, 6]"),
        ("Gather", "x i", 17, {"axis": -3}, "attribute 'axis' is -3, but must be from -2 to 1"),
        ("Split", "x", 17, {"axis": 5}, "attribute 'axis' is 5, but must be from -2 to 1"),
        ("Flatten", "x", 17, {"axis": 3}, "attribute 'axis' is 3, but must be from -2 to 2"),
        ("Flatten", "x", 17, {"axis": -3}, "attribute 'axis' is -3, but must be from -2 to 2"),
        ("Softmax", "x", 17, {"axis": 3}, "attribute 'axis' is 3, but must be from -2 to 1"),
        ("LogSoftmax", "x", 11, {"axis": -5}, "attribute 'axis' is -5, but must be from -2 to 1"),
        ("ReduceMean", "x", 17, {"axes": [2]}, "the axes [2] are not axes of a tensor of rank 2"),
        ("ReduceMax", "x", 17, {"axes": [1, -1]}, "the axes [1, -1] are not axes of a tensor of rank 2"),
        ("Squeeze", "x", 11, {"axes": [-3]}, "the axes [-3] are not axes of a tensor of rank 2"),
        ("Unsqueeze", "x", 11, {"axes": [0, 0]}, "the axes [0, 0] are not axes of a tensor of rank"),
        ("Slice", "x", 9, {"starts": [0], "ends": [1], "axes": [7]}, "the axes [7] are not axes of a tensor of rank 2"),
        (
            "Slice",
            "x",
            9,
            {"starts": [0, 0], "ends": [1, 1], "axes": [1, 1]},
            "the axes [1, 1] are not axes of a tensor of rank 2",
        ),
        ("Transpose", "x", 17, {"perm": [0, 2]}, "[0, 2] is not a permutation of the axes of [2, 6]"),
        ("Gemm", "x w", 17, {"alpha": 0.0}, "alpha=0 is not supported: the weight would have no part in the result"),
        ("Swish", "x", 24, {"alpha": 2.0}, "only alpha=1 is supported, not 2.0"),
        ("RandomUniform", "", 17, {"shape": [2], "low": 1.0, "high": 0.5}, "'low' is 1.0, but must be at most 'high'"),
    ],
)
def test_what_only_shapes_say(
    tmp_path: Path, op: str, inputs: str, opset: int, attributes: dict[str, Any], expected: str
) -> None:
    """Or several attributes together, or nitic."""
    assert expected in failure(tmp_path, op, opset, inputs, SOME, **attributes)


@pytest.mark.parametrize(
    ("op", "inputs", "value", "expected"),
    [
        ("Clip", "x c", nan, "input 'min' is nan, but must be a number, below 3.4e+38"),
        ("Clip", "x d c", -inf, "input 'max' is -inf, but must be a number, above -3.4e+38"),
        ("Dropout", "x c", 1.0, "input 'ratio' is 1.0, but must be a number, finite, at least 0, below 1"),
        ("Dropout", "x c", nan, "input 'ratio' is nan, but must be a number, finite, at least 0, below 1"),
        ("Pad", "x p c", inf, "input 'value' is inf, but must be a number, finite"),
        ("Dropout", "x two", 0.5, "ratio has the shape [2], but must be one number"),
    ],
)
def test_a_number_that_newer_opsets_have_as_an_input(
    tmp_path: Path, op: str, inputs: str, value: float, expected: str
) -> None:
    values: dict[str, Array] = {
        "c": np.asarray(value, np.float32),
        "d": np.asarray(0, np.float32),
        "p": np.asarray([0, 1, 0, 0], np.int64),
        "two": random(2),
    }
    assert expected in failure(tmp_path, op, 17, inputs, values)
