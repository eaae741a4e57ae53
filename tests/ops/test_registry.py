"""Every operator answers every question of the contract, is registered, and survives the way through text."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, OpResult, Region, SSAValue
from xdsl.traits import OpTrait, Pure

import nitic.ops
from nitic.ir import traits
from nitic.ir.op import NnOp, NoGradient, like, location
from nitic.ir.text import parse_module, print_module
from nitic.ir.traits import Bias, Bounded, Clamp, Contraction, Gate, Loss, Moves, OnMantissas, Sum
from nitic.ir.types import element_of, f32, i8, i16, is_tensor, shape_of, store, tensor
from nitic.ops import BFP, NN, context
from nitic.ops.bfp import ExponentOfOp
from nitic.passes.base import NiticPass
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.recipe import RECIPES
from tests.networks.stages import imported
from tests.ops.instances import FLOAT, INTEGER, Spec, instance, name_of, values

SPECS = FLOAT + INTEGER
PROMISES: dict[type[OpTrait], Callable[[NnOp], bool]] = {
    Moves: lambda op: op.ACCUMULATORS == (0,) and prod(shape_of(op.results[0])) == prod(shape_of(op.operands[0])),
    Contraction: lambda op: len(op.operands) == 2 and op.accumulator_bound() is not None,
    OnMantissas: lambda op: not op.ACCUMULATORS and element_of(op.operands[0]) in (f32, i8),
    Gate: lambda op: like(op.operands[0]) == op.results[0].type and op.accumulator_bound() is None,
    Sum: lambda op: op.operands[0].type == op.operands[1].type and not any(map(is_tensor, op.operands[2:])),
    Clamp: lambda op: like(op.operands[0]) == op.results[0].type and op.ACCUMULATORS == (0,),
    Bounded: lambda op: bool(op.ACCUMULATORS) and op.accumulator_bound() is not None,
    Bias: lambda op: len(op.operands) in (2, 4),
    Loss: lambda op: shape_of(op.results[0]) == shape_of(op.operands[0]),
}
"""What a trait promises of operands, results and bounds, as far as a single operator shows it."""
# Class variables that operators of one file share.
OF_FAMILIES = {"CONTRACTED", "DRAWS", "ELEMENT", "LARGEST_DIFFERENCE", "LIKE", "OF"}
SOURCE = 'node "a.1"'  # it needs escapes
TRAITS = [each for each in vars(traits).values() if isinstance(each, type) and issubclass(each, OpTrait)]
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

    def insert(self, op: NnOp) -> OpResult:
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


@pytest.mark.parametrize("trait", [each for each in TRAITS if each is not OpTrait], ids=lambda trait: trait.__name__)
def test_some_operator_has_every_trait(trait: type[OpTrait]) -> None:
    assert vars(trait)["__doc__"]
    assert any(kind.has_trait(trait) for kind in NN + BFP)


@pytest.mark.parametrize("kind", NN + BFP, ids=lambda kind: kind.name)
def test_what_an_operator_says_of_itself_is_known(kind: type[NnOp]) -> None:
    """A trait, or a class variable of the contract or of its family: a misspelt one would say nothing."""
    assert {type(trait) for trait in kind.traits} <= {*TRAITS, Pure}
    said = {name for each in kind.__mro__ if issubclass(each, NnOp) for name in vars(each) if name.isupper()}
    assert said <= {name for name in vars(NnOp) if name.isupper()} | OF_FAMILIES


@ALL
def test_traits_and_rules_agree(spec: Spec) -> None:
    op = instance(spec)
    assert [trait.__name__ for trait, holds in PROMISES.items() if op.has_trait(trait) and not holds(op)] == []
    most = max(len(instance(each).operands) for each in SPECS if each[0] is spec[0])  # some operands may be left out
    assert all(i < most for i in (*op.ACCUMULATORS, *op.MANTISSAS16, *op.FACTORS))
    assert op.NARROWING is None or element_of(op.results[0]) in (f32, i16)


@pytest.mark.parametrize("spec", INTEGER, ids=name_of)
def test_the_sign_rule_holds(spec: Spec) -> None:
    """Of tensors without a negative value an operator that says so makes no negative one."""
    op = instance(spec)
    if op.is_nonnegative(lambda _: True):
        for seed in range(5):
            drawn = [abs(v) if is_tensor(o) else v for v, o in zip(values(op, seed), op.operands, strict=True)]
            outputs = op.reference(*drawn)
            assert np.min(outputs[0] if isinstance(outputs, tuple) else outputs) >= 0


@ALL
def test_an_operator_survives_the_way_through_text(spec: Spec) -> None:
    module = module_of(instance(spec))
    text = print_module(module)
    again = parse_module(text, context())
    again.verify()
    assert print_module(again) == text
    located = parse_module(print_module(module, locations=True), context())
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
    again = parse_module(text, context())
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
