"""What joins, cuts and rearranges activations, against onnxruntime; and how few moves it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from xdsl.dialects.builtin import ModuleOp

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from tests.support.onnx_models import Array, check_against_onnxruntime, logits, onnxruntime_output, random, save_network

I64 = np.int64
X = (2, 8, 6, 4)


def node(op: str, inputs: str = "x", outputs: str = "t", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"make_{outputs}", **attributes)


def ints(*values: int) -> Array:
    return np.array(values, I64)


Case = tuple[list[onnx.NodeProto], dict[str, Array], list[str]]
"""Nodes from x to t, their constants, and the operators that move values."""
SHUFFLE = [
    node("Reshape", "x split", "a"),
    node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
    node("Reshape", "b joined", "t"),
]
PIXELS = [node("Reshape", "x split", "a"), node("Transpose", "a", "b", perm=[0, 1, 4, 2, 5, 3])]
TWO = ["slice", "slice", "concat"]
CASES: dict[str, Case] = {
    "concat": ([node("Relu", "x", "a"), node("Concat", "x a x", "t", axis=1)], {}, ["concat"]),
    "concat_rows": ([node("Relu", "x", "a"), node("Concat", "a x", "t", axis=-2)], {}, ["concat"]),
    "concat_batch": (
        [node("Concat", "x x", "a", axis=0), node("Slice", "a s e", "t")],
        {"s": ints(1), "e": ints(3)},
        ["concat", "slice"],
    ),
    "concat_of_layouts": (
        [
            node("Reshape", "x flat", "a"),
            node("Relu", "a", "b"),
            node("Reshape", "b back", "c"),
            node("Concat", "c x", "t", axis=1),
        ],
        {"flat": ints(2, -1), "back": ints(*X)},
        ["concat"],
    ),
    "slice": (
        [node("Slice", "x s e a k", "t")],
        {"s": ints(1, -3), "e": ints(7, 100), "a": ints(1, -2), "k": ints(2, 1)},
        ["slice"],
    ),
    "slice_of_all": ([node("Slice", "x s e a", "t")], {"s": ints(0), "e": ints(1000), "a": ints(1)}, []),
    "slice_of_flat": (
        [node("Flatten", "x", "a"), node("Slice", "a s e a1", "t")],
        {"s": ints(5), "e": ints(150), "a1": ints(1)},
        ["transpose", "slice"],
    ),
    "split_sizes": (
        [node("Split", "x s", "a b c", axis=1), node("Concat", "c a b", "t", axis=1)],
        {"s": ints(1, 5, 2)},
        ["slice", "slice", "slice", "concat"],
    ),
    "split_equally": (
        [node("Split", "x", "a b", axis=2), node("Add", "a b", "t")],
        {},
        ["slice", "slice"],
    ),
    "gather_one": ([node("Gather", "x i", "t", axis=2)], {"i": np.array(-2, I64)}, ["slice"]),
    "gather_range": ([node("Gather", "x i", "t", axis=1)], {"i": ints(1, 4, 7)}, ["slice"]),
    "gather_in_another_order": (
        [node("Gather", "x i", "t", axis=1)],
        {"i": ints(2, 1, 0, 3, 4, 5, 6, 7)},
        ["slice"] * 4 + ["concat"],
    ),
    "gather_twice": ([node("Gather", "x i", "t", axis=3)], {"i": ints(0, 1, 2, 3, 0, 1)}, TWO[1:]),
    "gather_all": ([node("Gather", "x i", "t", axis=2)], {"i": ints(*range(6))}, []),
    "gather_in_two_axes": (
        [node("Gather", "x i", "a", axis=1), node("Reshape", "a big", "t")],
        {"i": np.array([[4, 5], [6, 7], [0, 1]], I64), "big": ints(2, 6, 6, 4)},
        TWO,
    ),
    "reversed": (
        [node("Slice", "x s e a k", "t")],
        {"s": ints(-1, 1), "e": ints(-100, 5), "a": ints(3, 2), "k": ints(-2, 2)},
        ["slice", *TWO],
    ),
    "pad": ([node("Pad", "x p", "t")], {"p": ints(0, 1, 2, 0, 0, 3, 0, 1)}, ["pad"]),
    "pad_and_cut": ([node("Pad", "x p", "t")], {"p": ints(0, -1, 2, 0, 0, 3, -2, -1)}, ["slice", "pad"]),
    "pad_reflect": (
        [node("Pad", "x p", "t", mode="reflect")],
        {"p": ints(0, 0, 1, 1, 0, 0, 1, 2)},
        [*["slice"] * 2, "concat", *["slice"] * 3, "concat"],
    ),
    "pad_edge": (
        [node("Pad", "x p", "t", mode="edge")],
        {"p": ints(0, 0, 2, 0, 0, 0, 1, 0)},
        [*["slice"] * 3, "concat"],
    ),
    "pad_wrap": ([node("Pad", "x p", "t", mode="wrap")], {"p": ints(0, 0, 0, 2, 0, 0, 0, 3)}, TWO),
    "pad_of_nothing": ([node("Pad", "x p", "t")], {"p": ints(*[0] * 8)}, []),
    "channel_shuffle": (SHUFFLE, {"split": ints(2, 2, 4, 6, 4), "joined": ints(*X)}, ["transpose"]),
    "two_readers_of_a_shuffle": (
        [*SHUFFLE, node("Split", "t", "u v", axis=1), node("Split", "t", "p q", axis=1), node("Add", "q v", "t2")],
        {"split": ints(2, 2, 4, 6, 4), "joined": ints(*X)},
        ["transpose", *["slice"] * 4],
    ),
    "halves_of_split_channels": (
        [node("Reshape", "x split", "a"), node("Split", "a", "b t2", axis=1)],
        {"split": ints(2, 2, 4, 6, 4)},
        ["slice", "slice"],
    ),
    "pixel_shuffle_by_hand": (
        [*PIXELS, node("Reshape", "b big", "t")],
        {"split": ints(2, 2, 2, 2, 6, 4), "big": ints(2, 2, 12, 8)},
        ["transpose"],
    ),
    "depth_to_space": ([node("DepthToSpace", "x", "t", blocksize=2)], {}, ["transpose"]),
    "depth_to_space_crd": ([node("DepthToSpace", "x", "t", blocksize=2, mode="CRD")], {}, ["transpose"]),
    "space_to_depth": ([node("SpaceToDepth", "x", "t", blocksize=2)], {}, ["transpose"]),
    "there_and_back": (
        [node("SpaceToDepth", "x", "a", blocksize=2), node("DepthToSpace", "a", "t", blocksize=2)],
        {},
        [],
    ),
    "cut_where_nothing_was": (
        [node("Reshape", "x odd", "a"), node("Transpose", "a", "b", perm=[0, 2, 1]), node("Reshape", "b back", "t")],
        {"odd": ints(2, 12, 16), "back": ints(*X)},
        ["transpose", "transpose"],
    ),
}


def moves(module: ModuleOp) -> list[str]:
    names = [op.name.removeprefix("nn.") for op in module.walk()]
    return [name for name in names if name in ("transpose", "slice", "pad", "concat")]


@pytest.mark.parametrize(("case", "batch"), [(c, n) for c in CASES for n in (2, 1) if (c, n) != ("concat_batch", 1)])
def test_moves(tmp_path: Path, case: str, batch: int) -> None:
    """A convolution behind shows what arrives as an image, or a product what arrives flat."""
    nodes, constants, expected = CASES[case]
    constants = {key: with_batch(array, batch) if key in TARGETS else array for key, array in constants.items()}
    last = nodes[-1].output[-1]
    model = onnx.shape_inference.infer_shapes(network(nodes, constants, (batch, *X[1:])))
    (shape,) = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.value_info if v.name == last]
    values = dict(constants)
    if len(shape) == 4:
        values["w"] = random(3, shape[1], 1, 1)
        tail = [node("Conv", f"{last} w", "g"), node("GlobalAveragePool", "g", "h"), node("Flatten", "h", "y")]
    else:
        values["w"] = random(int(np.prod(shape[1:])), 3)
        tail = [node("Flatten", last, "g"), node("MatMul", "g w", "y")]
    path = save_network(tmp_path / "m.onnx", [*nodes, *tail], (batch, *X[1:]), values)
    imported = check_against_onnxruntime(path, random(batch, *X[1:]))
    if batch > 1:
        assert moves(imported.module) == expected


TARGETS = ("flat", "back", "split", "joined", "big", "odd")


def with_batch(target: Array, batch: int) -> Array:
    return ints(batch, *target[1:])


def network(nodes: list[onnx.NodeProto], constants: dict[str, Array], shape: tuple[int, ...]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "test", [x], [], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_old_and_new_forms(tmp_path: Path, opset: int) -> None:
    """Split, Slice and Pad took attributes before they took inputs; opset 18 counts a split's outputs."""
    values: dict[str, Array] = {"w": random(60, 3)}
    if opset == 9:
        nodes = [
            node("Split", "x", "a b", axis=1, split=[3, 5]),
            node("Slice", "b", "c", starts=[1], ends=[4], axes=[2]),
            node("Pad", "c", "d", pads=[0] * 7 + [-1]),
        ]
    else:
        values |= {"n": ints(3, 5), "s": ints(1), "e": ints(4), "ax": ints(2), "p": ints(*[0] * 7, -1)}
        nodes = [node("Slice", "b s e ax", "c"), node("Pad", "c p", "d")]
        form = (
            node("Split", "x", "a z b", axis=1, num_outputs=3) if opset == 18 else node("Split", "x n", "a b", axis=1)
        )
        nodes.insert(0, form)
    channels = 2 if opset == 18 else 5
    values["w"] = random(channels * 3 * 3, 3)
    if opset == 18:
        del values["n"]
    tail = [node("Flatten", "d", "f"), node("MatMul", "f w", "y")]
    path = save_network(tmp_path / "m.onnx", [*nodes, *tail], X, values, opset)
    check_against_onnxruntime(path, random(*X))


MERGED: dict[str, tuple[list[int], list[int]]] = {
    "rows": ([24, 12], [2, 144]),
    "rows_open": ([24, -1], [2, -1]),
    "all": ([2, 144], [2, 12, 12]),
    "pieces": ([48, 2, 3], [2, 144]),
    "flat": ([288], [2, 144]),
    "open": ([-1, 12], [-1, 144]),
}


@pytest.mark.parametrize("batch", [1, 2, 6])
@pytest.mark.parametrize("case", MERGED)
def test_a_batch_that_the_exporter_wrote_into_reshapes(tmp_path: Path, case: str, batch: int) -> None:
    """Merged with other axes or alone, it follows the batch that is compiled."""
    merge, back = (ints(*target) for target in MERGED[case])
    nodes = [
        node("Reshape", "x merge", "a"),
        node("Relu", "a", "b"),
        node("Reshape", "b back", "c"),
        node("Flatten", "c", "d"),
        node("MatMul", "d w", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 12, 12), {"merge": merge, "back": back, "w": random(144, 3)})
    x = random(6, 12, 12)
    model = import_onnx(path, batch)
    found = np.concatenate([logits(model, x[i : i + batch]) for i in range(0, 6, batch)])
    expected = np.concatenate([onnxruntime_output(path, x[i : i + 2]) for i in range(0, 6, 2)])
    np.testing.assert_allclose(found, expected, atol=1e-4)


BEHIND_TIME: dict[str, tuple[list[str], list[onnx.NodeProto]]] = {
    "split": (["5 D 2 -1"], [node("Reshape", "a s0")]),
    "zeros": (["0 0 3 2"], [node("Reshape", "a s0")]),
    "zero_and_minus": (["0 D -1"], [node("Reshape", "a s0")]),
    "rows_and_back": (
        ["-1 6", "5 D 6"],
        [node("Reshape", "a s0", "b"), node("Relu", "b", "c"), node("Reshape", "c s1")],
    ),
    "merged_last": (["5 -1", "5 D 6"], [node("Reshape", "a s0", "b"), node("Relu", "b", "c"), node("Reshape", "c s1")]),
    "with_ones": (["5 1 D 6", "5 D 3 1 -1"], [node("Reshape", "a s0", "b"), node("Reshape", "b s1")]),
    "from_a_shape": (
        ["2 -1"],
        [node("Shape", "a", "n", end=2), node("Concat", "n s0", "s", axis=0), node("Reshape", "a s")],
    ),
}


@pytest.mark.parametrize("batches", [(1, 4), (1, 1), (2, 4), (2, 1), (4, 2)])
@pytest.mark.parametrize("case", BEHIND_TIME)
def test_a_batch_in_reshapes_that_is_not_the_first_axis(tmp_path: Path, case: str, batches: tuple[int, int]) -> None:
    """Of a file of one batch, compiled for another."""
    declared, batch = batches
    targets, nodes = BEHIND_TIME[case]
    shapes = {f"s{i}": ints(*map(int, text.replace("D", str(declared)).split())) for i, text in enumerate(targets)}
    rank = 3 if case in {"rows_and_back", "merged_last", "zero_and_minus"} else 5 if case == "with_ones" else 4
    back = node("Transpose", "t", "u", perm=[1, 0, *range(2, rank)])
    made = [
        node("Transpose", "x", "a", perm=[1, 0, 2]),
        *nodes,
        back,
        node("Flatten", "u", "f"),
        node("MatMul", "f w", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", made, (declared, 5, 6), {**shapes, "w": random(30, 3)})
    model, x = import_onnx(path, batch), random(4, 5, 6)
    found = np.concatenate([logits(model, x[i : i + batch]) for i in range(0, 4, batch)])
    expected = np.concatenate([onnxruntime_output(path, x[i : i + declared]) for i in range(0, 4, declared)])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_batch_behind_a_pool_whose_size_onnx_infers_otherwise(tmp_path: Path, batch: int) -> None:
    """By the rules before opset 19, a last window may begin behind the input."""
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1),
        node("Reshape", "p s", "f"),
        node("MatMul", "f w", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 1, 6, 6), {"s": ints(2, -1), "w": random(4, 3)}, 18)
    x = random(4, 1, 6, 6)
    model = import_onnx(path, batch)
    found = np.concatenate([logits(model, x[i : i + batch]) for i in range(0, 4, batch)])
    np.testing.assert_allclose(found, logits(import_onnx(path, 4), x), atol=1e-4)


def test_of_two_open_axes_the_first_is_the_batch(tmp_path: Path) -> None:
    """A target that onnxruntime refuses, while nitic knows the batch."""
    nodes = [node("Reshape", "x s", "t"), node("Flatten", "t", "f"), node("MatMul", "f w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, ("N", 5, 6), {"s": ints(-1, -1, 3), "w": random(30, 3)})
    x = random(4, 5, 6)
    np.testing.assert_allclose(logits(import_onnx(path, 4), x), x.reshape(4, 30) @ random(30, 3), atol=1e-4)


@pytest.mark.parametrize("target", [(5, -1, -1), (-1, -1, -1), (-1, -1, 7)])
def test_open_axes_that_nothing_decides(tmp_path: Path, target: tuple[int, ...]) -> None:
    nodes = [node("Reshape", "x s", "t"), node("Flatten", "t", "f"), node("MatMul", "f w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, ("N", 5, 6), {"s": ints(*target), "w": random(30, 3)})
    with pytest.raises(CompileError, match="cannot reshape"):
        import_onnx(path, 4)


def test_a_batch_that_a_reshape_hides_is_named(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x t", "a"), node("Relu", "a", "b"), node("Flatten", "b", "c"), node("MatMul", "c w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 12, 12), {"t": ints(9, 32), "w": random(32, 3)})
    with pytest.raises(CompileError, match="the file fixes a batch of 2, not 4; export it with a dynamic batch"):
        import_onnx(path, 4)
