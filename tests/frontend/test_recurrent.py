"""LSTM, GRU and RNN against onnxruntime: directions, biases, initial states, outputs, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.frontend.operators.recurrent import GATES
from tests.support.onnx_models import Array, check_against_onnxruntime, logits, onnxruntime_output, random, save_network

N, T, F, H = 2, 5, 3, 4
X = (N, T, F)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru": ("GRU", {"linear_before_reset": 0}),
    "gru_of_torch": ("GRU", {"linear_before_reset": 1}),
    "lstm": ("LSTM", {}),
    "rnn": ("RNN", {}),
}
INPUTS = ("t", "w", "r", "b", "lens", "h0", "c0", "p")


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    if op in GATES:
        attributes["hidden_size"] = H
    return helper.make_node(op, inputs.split(" "), outputs.split(" "), name=f"make_{outputs}", **attributes)


def weights(op: str, directions: int = 1, features: int = F) -> dict[str, Array]:
    rows = GATES[op] * H
    return {
        "w": random(directions, rows, features, seed=1),
        "r": random(directions, rows, H, seed=2),
        "b": random(directions, 2 * rows, seed=3),
    }


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def network(
    path: Path,
    kind: str,
    given: dict[str, Array],
    *,
    before: list[onnx.NodeProto] | None = None,
    outputs: str = "seq",
    shape: tuple[int, ...] = X,
    computed: str = "",
    **attributes: Any,
) -> Path:
    """A recurrent layer over x, with the batch first, and a classifier of all of its first named output."""
    op, own = KINDS[kind]
    names = [name if name in given or name in ("t", *computed.split()) else "" for name in INPUTS]
    while not names[-1]:
        names.pop()
    named = [name for name in outputs.split(",") if name]
    size = {"seq": T * H, "h": H, "c": H}[named[0]] * given["w"].shape[0]
    order = [2, 0, 1, 3] if named[0] == "seq" else [1, 0, 2]
    attributes = {"hidden_size": H, **own, **attributes}
    nodes = [
        *(before or []),
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        helper.make_node(op, names, outputs.split(","), name="layer", **attributes),
        node("Transpose", named[0], "front", perm=order),
        node("Reshape", "front flat", "rows"),
        node("MatMul", "rows fc", "y"),
    ]
    values = {**given, "flat": ints(0, size), "fc": random(size, 3, seed=4)}
    return save_network(path / "m.onnx", nodes, shape, values)


def without(given: dict[str, Array], *names: str) -> dict[str, Array]:
    return {name: value for name, value in given.items() if name not in names}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_steps(tmp_path: Path, kind: str, direction: str, bias: bool) -> None:
    given = weights(KINDS[kind][0], 2 if direction == "bidirectional" else 1)
    path = network(tmp_path, kind, given if bias else without(given, "b"), direction=direction)
    model = check_against_onnxruntime(path, random(*X))
    assert {model.conversions[name].source for name in model.parameters} == {"w", "r", "fc"} | (
        {"b"} if bias else set()
    )
    for name, value in model.parameters.items():
        source = model.conversions[name].source
        if source in given:
            np.testing.assert_array_equal(model.conversions[name].to_onnx(value), given[source])


@pytest.mark.parametrize("outputs", [",h", "seq,h", ",,c", "seq,h,c"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_outputs(tmp_path: Path, outputs: str, direction: str) -> None:
    given = weights("LSTM", 2 if direction == "bidirectional" else 1)
    check_against_onnxruntime(network(tmp_path, "lstm", given, outputs=outputs, direction=direction), random(*X))


def test_an_output_that_is_left_out_is_no_input_that_is_left_out(tmp_path: Path) -> None:
    """Both have an empty name."""
    path = network(tmp_path, "lstm", weights("LSTM"), outputs=",h")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "wide"
    model.graph.node.append(helper.make_node("Clip", ["wide", "", "most"], ["y"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.5, np.float32), "most"))
    onnx.save(model, path)
    check_against_onnxruntime(path, random(*X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_has_no_product_with_the_state(tmp_path: Path, kind: str) -> None:
    path = network(tmp_path, kind, weights(KINDS[kind][0]), outputs=",h", shape=(N, 1, F))
    model = check_against_onnxruntime(path, random(N, 1, F))
    assert set(model.parameters) == {"w", "b", "fc"}


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_states_that_the_network_computes(tmp_path: Path, kind: str, direction: str) -> None:
    """An encoder's, as a decoder begins with: here the first step of x times a matrix."""
    op, d = KINDS[kind][0], 2 if direction == "bidirectional" else 1
    before = [
        node("Gather", "x first", "step", axis=1),
        node("MatMul", "step e", "wide"),
        node("Reshape", "wide apart", "parts"),
        node("Transpose", "parts", "h0", perm=[1, 0, 2]),
        node("Tanh", "h0", "c0"),
    ]
    constants = {"first": np.array(0, np.int64), "e": random(F, d * H, seed=5), "apart": ints(0, d, H)}
    states = "h0 c0" if op == "LSTM" else "h0"
    path = network(tmp_path, kind, {**weights(op, d), **constants}, before=before, computed=states, direction=direction)
    check_against_onnxruntime(path, random(*X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_all_samples_share_is_a_parameter(tmp_path: Path, kind: str) -> None:
    op = KINDS[kind][0]
    states = {name: random(2, 1, H, seed=6) for name in ("h0", "c0")[: 2 if op == "LSTM" else 1]}
    path = network(
        tmp_path, kind, {**weights(op, 2), **states}, direction="bidirectional", outputs=",h", shape=(1, T, F)
    )
    model = check_against_onnxruntime(path, random(1, T, F))
    assert {model.conversions[name].source for name in model.parameters} >= set(states)
    many = import_onnx(path, batch_size=3)
    x = random(3, T, F, seed=7)
    one_by_one = [onnxruntime_output(path, sample[None]) for sample in x]
    np.testing.assert_allclose(logits(many, x), np.concatenate(one_by_one), atol=1e-5)


@pytest.mark.parametrize("made", ["constant", "expanded", "sliced"])
def test_zeros_are_no_state_however_they_are_written(tmp_path: Path, made: str) -> None:
    zeros = np.zeros((2, N, H), np.float32)
    before, constants = {
        "constant": ([], {"h0": zeros[:1], "c0": zeros[:1]}),
        "expanded": (
            [node("Expand", "z s", "h0"), node("Expand", "z s", "c0")],
            {"z": zeros[:1, :1], "s": ints(1, N, H)},
        ),
        "sliced": (
            [node("Slice", "z begin end", "h0"), node("Slice", "z end all", "c0")],
            {"z": zeros, "begin": ints(0), "end": ints(1), "all": ints(2)},
        ),
    }[made]
    path = network(tmp_path, "lstm", {**weights("LSTM"), **constants}, before=before, computed="h0 c0", outputs=",h")
    model = check_against_onnxruntime(path, random(*X))
    assert len(model.parameters) == 4
    assert len(import_onnx(path, batch_size=7).parameters) == 4


@pytest.mark.parametrize(
    ("kind", "activations"),
    [("lstm", ["Sigmoid", "Relu", "Tanh"]), ("gru", ["Tanh", "Sigmoid"]), ("rnn", ["Relu"]), ("rnn", ["Sigmoid"])],
)
@pytest.mark.parametrize("directions", [1, 2])
def test_activations(tmp_path: Path, kind: str, activations: list[str], directions: int) -> None:
    path = network(
        tmp_path,
        kind,
        weights(KINDS[kind][0], directions),
        activations=activations * directions,
        direction="bidirectional" if directions == 2 else "forward",
    )
    check_against_onnxruntime(path, random(*X))


def test_sequence_lens_of_all_steps(tmp_path: Path) -> None:
    lens = {"lens": np.full(N, T, np.int32)}
    check_against_onnxruntime(network(tmp_path, "gru", {**weights("GRU"), **lens}), random(*X))


def test_a_stack_reads_its_layers_without_moving_them(tmp_path: Path) -> None:
    """As torch and Keras write it: squeezed, and back from batch to time."""
    below, above = weights("LSTM"), weights("GRU", 1, H)
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", "t w r b", "a"),
        node("Squeeze", "a one", "s"),
        node("Transpose", "s", "f", perm=[1, 0, 2]),
        node("Relu", "f", "g"),
        node("Transpose", "g", "u", perm=[1, 0, 2]),
        node("GRU", "u w2 r2 b2", "_ h", linear_before_reset=1),
        node("Squeeze", "h zero", "last"),
        node("MatMul", "last fc", "y"),
    ]
    values = {**below, **{f"{k}2": v for k, v in above.items()}, "one": ints(1), "zero": ints(0), "fc": random(H, 3)}
    model = check_against_onnxruntime(save_network(tmp_path / "m.onnx", nodes, X, values), random(*X))
    assert "nn.transpose" not in str(model.module)


def test_rows_of_an_image_are_steps(tmp_path: Path) -> None:
    values = {**weights("LSTM"), "channel": ints(1), "zero": ints(0), "fc": random(H, 3)}
    nodes = [
        node("Squeeze", "x channel", "rows"),
        node("Transpose", "rows", "t", perm=[1, 0, 2]),
        node("LSTM", "t w r b", "_ h"),
        node("Squeeze", "h zero", "last"),
        node("MatMul", "last fc", "y"),
    ]
    check_against_onnxruntime(save_network(tmp_path / "m.onnx", nodes, (N, 1, T, F), values), random(N, 1, T, F))


def refusal(path: Path) -> str:
    with pytest.raises(CompileError) as caught:
        import_onnx(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "extra", "attributes", "expected"),
    [
        ("lstm", {"p": random(1, 3 * H)}, {}, "P, the weights of peepholes, is not supported"),
        ("lstm", {}, {"clip": 2.0}, "attribute 'clip' is 2.0, which is not supported"),
        ("lstm", {}, {"input_forget": 1}, "attribute 'input_forget' is 1, which is not supported"),
        (
            "gru",
            {"lens": np.array([T, 2], np.int32)},
            {},
            "sequence_lens [5, 2] are not supported: each must be all of the 5 steps",
        ),
        (
            "rnn",
            {},
            {"activations": ["Elu"]},
            "attribute 'activations' is ['Elu'], but must be a list of strings, each ",
        ),
        ("rnn", {}, {"hidden_size": 5}, "W has the shape [1, 4, 3], but must be [1, 5, 3]"),
        (
            "lstm",
            {"h0": random(1, N, H)},
            {},
            "initial_h is a constant of [1, 2, 4] with values for each sample of a batch",
        ),
    ],
)
def test_what_is_not_supported(
    tmp_path: Path, kind: str, extra: dict[str, Array], attributes: dict[str, Any], expected: str
) -> None:
    op = KINDS[kind][0]
    message = refusal(network(tmp_path, kind, {**weights(op), **extra}, **attributes))
    assert message.startswith(f"m.onnx: node 'layer' ({op}): {expected}")


def test_directions_of_different_functions(tmp_path: Path) -> None:
    path = network(tmp_path, "rnn", weights("RNN", 2), direction="bidirectional", activations=["Tanh", "Relu"])
    assert "['Tanh', 'Relu'] are not supported: they must be 1 for each direction, and the same" in refusal(path)


@pytest.mark.parametrize("steps", [2, 5])
def test_time_before_the_batch(tmp_path: Path, steps: int) -> None:
    """Also with as many steps as samples, where the shapes would fit."""
    values = {**weights("RNN"), "zero": ints(0), "fc": random(H, 3)}
    nodes = [node("RNN", "x w r b", "_ h"), node("Squeeze", "h zero", "last"), node("MatMul", "last fc", "y")]
    message = refusal(save_network(tmp_path / "m.onnx", nodes, (steps, 2, F), values))
    assert f"its batch is the axis of 2, but that of the network is the first axis of its input, of {steps}" in message
