"""What a network gives where one part of it is far larger than another."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nitic
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions

BIAS = np.array([0.5, -1, 0.25, 2], np.float32)


def write(path: Path, nodes: list[onnx.NodeProto], parameters: dict[str, np.ndarray]) -> Path:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in parameters.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("pool", ["GlobalAveragePool", "GlobalMaxPool"])
def test_behind_dead_units_the_logits_are_the_bias(tmp_path: Path, pool: str) -> None:
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["input", "w", "b"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node(pool, ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fw", "fb"], ["out"], transB=1),
    ]
    parameters = {
        "w": random.normal(0, 0.3, (8, 3, 3, 3)),
        "b": np.full(8, -100),
        "fw": random.normal(0, 0.3, (4, 8)),
        "fb": BIAS,
    }
    program = nitic.compile(write(tmp_path / "dead.onnx", nodes, parameters), batch_size=4)
    session = nitic.TrainingSession(program, threads=1)
    samples = random.integers(0, 256, (4, 3, 8, 8), np.uint8)
    session.set_statistics(samples)
    with pytest.warns(UserWarning, match="calibrated"):
        logits, e = session.predict(samples)
    np.testing.assert_array_equal(logits * 2.0**e, np.broadcast_to(BIAS, (4, 4)))


@pytest.mark.parametrize("variance", [2.4, 0.1, 0.01])
def test_a_pretrained_batch_norm_predicts_before_any_step(tmp_path: Path, variance: float) -> None:
    """Its running statistics, not those of the batch, decide how large the activations are."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["a", "g", "be", "rm", "rv"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fw"], ["out"], transB=1),
    ]
    w, fw = random.normal(0, 0.3, (8, 3, 3, 3)), random.normal(0, 0.3, (4, 8))
    channels = {"g": 1, "be": 0.1, "rm": 0, "rv": variance}
    parameters = {"w": w, "fw": fw, **{name: np.full(8, value) for name, value in channels.items()}}
    path = write(tmp_path / "pretrained.onnx", nodes, parameters)
    session = nitic.TrainingSession(nitic.compile(path, batch_size=16, mean=(0.5,), std=(0.29,)), threads=1)
    samples = random.integers(0, 256, (16, 3, 8, 8), np.uint8)
    with pytest.warns(UserWarning, match="calibrated"):
        logits, e = session.predict(samples)
    x = np.pad((samples / 255 - 0.5) / 0.29, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    y = np.einsum("nchwij,ocij->nohw", windows, w) / np.sqrt(variance + 1e-5) + 0.1
    expected = np.maximum(y, 0).mean((2, 3)) @ fw.T
    assert np.abs(logits * 2.0**e - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("start", [1.0, 1e-6])
def test_a_factor_grows_as_far_as_training_wants(tmp_path: Path, start: float) -> None:
    """Layer scale begins at 1e-6, and floats bring it to about 1.8 here."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1] * 4),
        helper.make_node("Mul", ["c", "gamma"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fw", "fb"], ["out"], transB=1),
    ]
    parameters = {
        "w1": random.normal(0, 0.2, (8, 3, 3, 3)),
        "w2": random.normal(0, 0.3, (8, 8, 3, 3)),
        "gamma": np.full((1, 8, 1, 1), start),
        "fw": random.normal(0, 0.5, (4, 8)),
        "fb": np.zeros(4),
    }
    prototypes, labels = random.integers(0, 256, (4, 3, 1, 1)), random.integers(0, 4, 128)
    noise = random.integers(0, 128, (128, 3, 8, 8))
    samples = np.clip(prototypes[labels] * 0.5 + noise, 0, 255).astype(np.uint8)
    path = write(tmp_path / "scaled.onnx", nodes, parameters)
    session = nitic.TrainingSession(nitic.compile(path, batch_size=32), threads=2)
    session.set_statistics(samples)
    session.configure(lr="0.05")
    right = [session.train_step(samples[i : i + 32], labels[i : i + 32]).correct for i in [0, 32, 64, 96] * 50]
    state = session.state_dict()
    assert np.abs(state["gamma"] * 2.0 ** int(state["gamma.exponent"])).max() > 0.5
    assert sum(right[-4:]) > 120


def test_what_stays_at_a_limit_is_said(tmp_path: Path) -> None:
    """A quarter of the int8 weights has nowhere to go, which is too few for another exponent."""
    random = np.random.default_rng(2)
    w = np.where(np.arange(192) % 4, 0, 1.0) * random.choice([-1.0, 1.0], (4, 192))
    nodes = [helper.make_node("Flatten", ["input"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["out"], transB=1)]
    binary = tmp_path / "n"
    options = CompileOptions(
        model=write(tmp_path / "n.onnx", nodes, {"w": w}), output=binary, batch_size=4, recipe="niti"
    )
    compile_model(options)
    for split, count in (("train", 8), ("test", 4)):
        np.save(tmp_path / f"x_{split}.npy", random.integers(0, 256, (count, 3, 8, 8), np.uint8))
        np.save(tmp_path / f"y_{split}.npy", np.zeros(count, np.int64))
    log, save = tmp_path / "log", tmp_path / "saved"
    words = [binary, "train", "--data", tmp_path, "--epochs", "1", "--gb", "1", "--log", log, "--save", save]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    clipped = json.loads(log.read_text().splitlines()[-1])["clipped"]["w"]
    assert 0 < clipped <= 192
    assert f"w: {clipped} of 768 numbers ({clipped / 7.68:.2f} %) stand at the limit of their type\n" in done.stderr
    info = subprocess.run([binary, "info", "--load", save], capture_output=True, text=True, check=True)
    assert f"w, {clipped} of 768 at the limit\n" in info.stdout
