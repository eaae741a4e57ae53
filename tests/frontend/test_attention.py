"""Attention as arithmetic, in several spellings: what onnxruntime computes, and a sentence for anything else."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.attention import AttentionOp
from tests.support.onnx_models import Array, check_against_onnxruntime, count_of, random, save_network

VALUES: dict[str, Array] = {
    "two": np.asarray(2.0, np.float32),
    "half": np.asarray(0.5, np.float32),
    "minus": np.asarray(-1.0, np.float32),
    "far": np.asarray(-np.inf, np.float32),
    "tril": np.tri(3, dtype=bool),
    "triu": ~np.tri(3, dtype=bool),
    "mask": np.where(np.tri(3, dtype=bool), 0, -np.inf).astype(np.float32)[None],
    "first": np.array([[True, False, False]] * 3),
    "zeros": np.zeros((3, 3), np.float32),
    "bias": random(3, 3, seed=5),
}
SPELLINGS = {
    "plain": "s=MatMul q kt; p=Softmax s; o=MatMul p v",
    "a quotient": "s=MatMul q kt; d=Div s two; p=Softmax d; o=MatMul p v",
    "both operands scaled": "a=Mul q half; b=Mul kt half; s=MatMul a b; p=Softmax s; o=MatMul p v",
    "an added mask": "s=MatMul q kt; d=Mul s half; m=Add d mask; p=Softmax m; o=MatMul p v",
    "a chosen mask": "s=MatMul q kt; m=Where tril s far; d=Mul half m; p=Softmax d; o=MatMul p v",
    "the other choice": "s=MatMul q kt; m=Where triu far s; p=Softmax m; i=Identity p; o=MatMul i v",
}
CAUSAL = {"an added mask", "a chosen mask", "the other choice"}
REFUSED = {
    "s=MatMul q kt; o=Identity s": "Transpose of its scores is not",
    "s=MatMul q kt; o=MatMul s v": "here, the softmax is missing",
    "s=MatMul q kt; r=Relu s; p=Softmax r; o=MatMul p v": "Relu of its scores is not",
    "s=MatMul q kt; m=Add s bias; p=Softmax m; o=MatMul p v": "a bias of scores, such as 'bias', is not supported",
    "s=MatMul q kt; m=Add s zeros; p=Softmax m; o=MatMul p v": "a bias of scores, such as 'zeros', is not supported",
    "s=MatMul q kt; m=Where first s far; p=Softmax m; o=MatMul p v": "only the causal one is supported",
    "s=MatMul q kt; m=Where tril s two; p=Softmax m; o=MatMul p v": "may stand in the place of a score",
    "s=MatMul q kt; d=Mul s minus; p=Softmax d; o=MatMul p v": "it must be positive",
}


def save(path: Path, spelling: str) -> Path:
    """Attention of 3 tokens in 2 heads of 4 features, between linear layers."""
    nodes = [helper.make_node("Reshape", ["x", "tokens"], ["in"])]
    for part, perm in (("q", [0, 2, 1, 3]), ("kt", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["in", f"w{part}"], [f"{part}.flat"]),
            helper.make_node("Reshape", [f"{part}.flat", "heads"], [f"{part}.heads"]),
            helper.make_node("Transpose", [f"{part}.heads"], [part], perm=perm),
        ]
    for step in spelling.split(";"):
        name, right = step.strip().split("=")
        op, *inputs = right.split()
        nodes.append(helper.make_node(op, inputs, [name]))
    nodes += [
        helper.make_node("Transpose", ["o"], ["together"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["together", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], ["y"]),
    ]
    shapes = {"tokens": [0, 3, 8], "heads": [0, 3, 2, 4], "flat": [0, 24]}
    values = VALUES | {name: np.asarray(value, np.int64) for name, value in shapes.items()}
    values |= {f"w{part}": random(8, 8, seed=i) for i, part in enumerate(("q", "kt", "v"))} | {"w": random(24, 5)}
    used = {name for node in nodes for name in node.input}
    return save_network(path, nodes, ("N", 24), {name: v for name, v in values.items() if name in used})


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_arithmetic_is_one_attention(tmp_path: Path, spelling: str) -> None:
    model = check_against_onnxruntime(save(tmp_path / "net.onnx", SPELLINGS[spelling]), random(64, 24, seed=4))
    assert count_of(model, AttentionOp) == 1
    assert "nn.transpose" not in {op.name for op in model.module.walk()}
    causal = [op.causal.value.data for op in model.module.walk() if isinstance(op, AttentionOp)]
    assert causal == [int(spelling in CAUSAL)]
    assert set(model.parameters) == {"wq", "wkt", "wv", "w"}


@pytest.mark.parametrize("spelling", REFUSED)
def test_what_is_no_attention_is_refused(tmp_path: Path, spelling: str) -> None:
    path = save(tmp_path / "net.onnx", spelling)
    with pytest.raises(CompileError) as caught:
        import_onnx(path)
    assert REFUSED[spelling] in str(caught.value)
