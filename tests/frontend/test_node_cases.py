"""The node tests of the onnx wheel: every case of an operator that nitic imports, in floats. `pytest -s` counts them.

A case is one node with inputs and the outputs that the standard wants. Its first input is the network's; the others are
parameters, constants or activations, whatever its handler takes.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase as Case
from onnx.numpy_helper import to_array
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import VerifyException

from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators import HANDLERS
from nitic.frontend.values import NCHW, NHWC, Activation, Constant, Conversion, NodeError, Value
from nitic.interpret import run_function
from nitic.ir.function import Label, set_results
from nitic.ir.types import f32, tensor
from tests.support.onnx_models import Array, log_softmax

LEAST = 175  # cases that ran when this was written; more operators only add to them

# What a dropped last operator would have made of the logits.
DROPPED: dict[str, Callable[[Array], Array]] = {"LogSoftmax": log_softmax, "Softmax": lambda x: np.exp(log_softmax(x))}


class Skipped(Exception):
    """Why a case says nothing about nitic."""


@dataclass(frozen=True)
class Outcome:
    """A case and why it was skipped or how it failed; it ran and was right where there is neither."""

    name: str
    skipped: str = ""
    failed: str = ""


@cache
def cases() -> dict[str, list[Case]]:
    """By operator, those of one node. The generators take some ten seconds, and warn of what they do not mean."""
    found: dict[str, list[Case]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model and len(case.model.graph.node) == 1:
                found[case.model.graph.node[0].op_type].append(case)
    return found


@cache
def outcomes(op: str) -> list[Outcome]:
    return [outcome(case) for case in cases()[op]]


def outcome(case: Case) -> Outcome:
    try:
        for inputs, expected in case.data_sets or ():
            check(case, [array(x) for x in inputs], [array(y) for y in expected])
    except Skipped as reason:
        return Outcome(case.name, skipped=str(reason))
    except AssertionError as error:
        return Outcome(case.name, failed=str(error))
    return Outcome(case.name)


def array(value: Any) -> Array:
    return to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def check(case: Case, inputs: list[Array], expected: list[Array]) -> None:
    """Compares each way in which nitic takes the inputs; raises Skipped where there is none."""
    assert case.model
    node = Node(case.model.graph.node[0], case.model.opset_import[0].version)
    if node.attributes.get("training_mode") or any(x.dtype == bool and x.any() for x in inputs):
        raise Skipped("a training step is not what inference computes")
    if not inputs or any(x.dtype.kind != "f" for x in (inputs[0], expected[0])):
        raise Skipped("the dtype is not float")
    if inputs[0].ndim < 2:
        raise Skipped("the input's rank is below 2")
    if not all(x.size for x in inputs):
        raise Skipped("an input is empty")
    refusals: list[str] = []
    for kind in ("parameter", "constant", "activation"):
        try:
            results = run(node, inputs, kind)
        except (NodeError, VerifyException) as refusal:
            refusals.append(f"not supported: {refusal}")
            continue
        finish = DROPPED.get(node.op, lambda x: x)
        for found, wanted in zip(results, expected, strict=False):
            np.testing.assert_allclose(finish(found), wanted, rtol=1e-3, atol=1e-5, err_msg=f"inputs as {kind}s")
    if len(refusals) == 3:
        raise Skipped(refusals[0])


def run(node: Node, inputs: list[Array], kind: str) -> list[Array]:
    """The results of a node in the float stage; its second and further inputs are of a kind."""
    x = inputs[0]
    builder = Builder(x.transpose(NHWC).shape if x.ndim == 4 else x.shape, 0)
    builder.node = node
    arguments: dict[str, Array] = {"input": physical(x)}
    given = iter(inputs[1:])
    others = [other(builder, arguments, n, next(given), kind) if n else None for n in node.proto.input[1:]]
    made = HANDLERS[node.op](builder, node, [view(builder.input, x), *others])
    results = [made] if isinstance(made, Constant | Activation) else list(made)
    results = [each for each, name in zip(results, node.proto.output, strict=False) if name]
    outputs = [builder.in_onnx_order(each) for each in results if isinstance(each, Activation)]
    builder.signature.write()
    set_results(builder.func, [(Label(f"y{i}", "output"), value) for i, value in enumerate(outputs)])
    ModuleOp([builder.func]).verify()
    return list(run_function(builder.func, {**arguments, **builder.parameters}).values())


def other(builder: Builder, arguments: dict[str, Array], name: str, x: Array, kind: str) -> Value:
    if x.dtype.kind != "f" or x.ndim == 0 or kind == "constant":
        return Constant(x, name)
    if kind == "parameter":
        return Constant(x, name, Conversion(name))
    arguments[name] = physical(x)
    return view(builder.signature.add(Label(name, "input"), tensor(physical(x).shape, f32)), x)


def physical(x: Array) -> Array:
    return x.transpose(NHWC) if x.ndim == 4 else x


def view(value: Any, x: Array) -> Activation:
    return Activation(value, NCHW if x.ndim == 4 else tuple(range(x.ndim)), x.shape)


@pytest.mark.parametrize("op", sorted(HANDLERS))
def test_every_case_that_applies_is_right(op: str) -> None:
    assert [f"{each.name}: {each.failed}" for each in outcomes(op) if each.failed] == []


def test_most_operators_have_cases_that_ran() -> None:
    lines = list(summary())
    print("\n" + "\n".join(lines))
    ran = sum(not each.skipped for op in HANDLERS for each in outcomes(op))
    assert ran >= LEAST


def summary() -> Iterator[str]:
    """For each operator how many cases ran, and why others did not."""
    totals: Counter[str] = Counter()
    for op in sorted(HANDLERS):
        reasons = Counter(each.skipped for each in outcomes(op) if each.skipped)
        ran = len(outcomes(op)) - reasons.total()
        totals.update(ran=ran, skipped=reasons.total())
        yield f"{op}: {ran} ran, {reasons.total()} skipped"
        yield from (f"    {count} x {reason}" for reason, count in reasons.most_common())
    yield f"all: {totals['ran']} ran, {totals['skipped']} skipped"
