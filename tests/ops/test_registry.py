"""Every operator answers every question of the contract, is registered, and survives the way through text."""

import importlib
import pkgutil
from dataclasses import dataclass, field

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, OpResult, Region, SSAValue

import nitic.ops
from nitic.ir.op import NnOp, NoGradient, location
from nitic.ir.text import parse_module, print_module
from nitic.ir.types import f32, is_tensor, shape_of, store, tensor
from nitic.ops import BFP, NN, Bfp, Nn
from nitic.ops.bfp import ExponentOfOp
from nitic.passes.base import NiticPass
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.recipe import RECIPES
from tests.networks.stages import imported
from tests.ops.instances import FLOAT, INTEGER, Spec, instance, name_of, values

SPECS = FLOAT + INTEGER
SOURCE = 'node "a.1"'  # it needs escapes
ALL = pytest.mark.parametrize("spec", SPECS, ids=name_of)


@dataclass
class Recorder:
    """Gradients that are asked for and given."""

    op: NnOp
    given: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])

    def needs(self, value: SSAValue) -> bool:
        del value
        return True

    def of(self, value: SSAValue) -> SSAValue:
        return value  # its error has its type

    def factors_of(self, value: SSAValue) -> tuple[SSAValue, SSAValue | None]:
        return value, None

    def emit(self, op: NnOp) -> OpResult:
        return op.result

    def add(self, value: SSAValue, gradient: NnOp) -> None:
        self.given[value] = gradient.result

    def pass_on(self, value: SSAValue, error: SSAValue, factor: SSAValue | None = None) -> None:
        del factor
        self.given[value] = error


def test_every_operator_class_is_registered() -> None:
    found: set[type] = set()
    for module in pkgutil.iter_modules(nitic.ops.__path__):
        members = vars(importlib.import_module(f"nitic.ops.{module.name}")).values()
        found |= {
            each for each in members if isinstance(each, type) and issubclass(each, NnOp) and "name" in vars(each)
        }
    assert found == set(NN + BFP)


@pytest.mark.parametrize("kind", NN + BFP, ids=lambda kind: kind.name)
def test_every_operator_has_an_instance_and_misses_no_rule(kind: type[NnOp]) -> None:
    assert not kind.__abstractmethods__
    assert kind.__doc__
    assert kind in [spec[0] for spec in SPECS]


@ALL
def test_results_have_the_inferred_types(spec: Spec) -> None:
    op = instance(spec)
    op.verify()
    assert list(op.result_types) == list(op.infer_types())


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec[0] is not ExponentOfOp], ids=name_of)
def test_the_reference_gives_values_of_the_result_types(spec: Spec) -> None:
    op = instance(spec)
    for seed in range(5):
        outputs = op.reference(*values(op, seed))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for value, result in zip(outputs, op.results, strict=True):
            assert np.shape(value) == (shape_of(result) if is_tensor(result) else ())
            store(value, result.type)


@pytest.mark.parametrize("spec", INTEGER, ids=name_of)
def test_no_accumulator_passes_its_bound(spec: Spec) -> None:
    op = instance(spec)
    bound = op.accumulator_bound()
    if bound is None or op.ACCUMULATORS:
        return
    for seed in range(20):
        outputs = op.reference(*values(op, seed, extreme=True))
        acc = outputs[0] if isinstance(outputs, tuple) else outputs
        assert np.abs(acc).max() <= bound


@pytest.mark.parametrize("spec", FLOAT, ids=name_of)
def test_gradients_have_the_types_of_their_operands(spec: Spec) -> None:
    op = instance(spec)
    grad = Recorder(op)
    try:
        op.backward(grad)
    except NoGradient:
        assert not grad.given
        return
    differentiated = [value for i, value in enumerate(op.operands) if i not in op.UNDIFFERENTIATED]
    real = [value for value in differentiated if value.type == tensor(shape_of(value), f32)]
    assert set(grad.given) == set(real)
    assert all(error.type == value.type for value, error in grad.given.items())


@ALL
def test_an_operator_survives_the_way_through_text(spec: Spec) -> None:
    module = module_of(instance(spec))
    text = print_module(module)
    again = parse_module(text, [Nn, Bfp])
    again.verify()
    assert print_module(again) == text
    located = parse_module(print_module(module, locations=True), [Nn, Bfp])
    assert print_module(located, locations=True) == print_module(module, locations=True)
    assert [each.source for each in located.walk() if isinstance(each, NnOp)] == [SOURCE]


def module_of(op: NnOp) -> ModuleOp:
    """A function around one operator."""
    block = Block(arg_types=op.operand_types)
    copy = type(op).create(operands=block.args, result_types=op.result_types, properties=op.properties)
    copy.location = location(SOURCE)
    block.add_ops([copy, ReturnOp(*copy.results)])
    return ModuleOp([FuncOp("f", (op.operand_types, op.result_types), Region(block))])


def check_text(module: ModuleOp, *, locations: bool) -> None:
    text = print_module(module, locations)
    again = parse_module(text, [Nn, Bfp])
    again.verify()
    assert print_module(again, locations) == text


def check_located(_: NiticPass, module: ModuleOp, done: bool) -> None:
    if done:
        check_text(module, locations=True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_lenet_survives_the_way_through_text_after_every_pass(recipe: str) -> None:
    module = imported("lenet", 2).module
    run_passes(module, training_passes(RECIPES[recipe]), check_located)
    check_text(module, locations=False)


def test_lenet_survives_the_way_through_text_as_kernels() -> None:
    module = imported("lenet", 2).module
    run_passes(module, training_passes(RECIPES["niti16"]))
    run_passes(module, target_passes("avx512vnni"), check_located)
    check_text(module, locations=False)
