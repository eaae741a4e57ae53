"""`--format integer`: @predict in uint8 and int32, with the bits that the program itself predicts.

What depends on parameters alone, such as shifts, rounded weights and the inverse deviations of batch norm, is computed
by the operators' references, and so are the tables. docs/export.md says what each other operator becomes, and why.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.export import operators
from nitic.export.emission import INT8, Emission, Form, Inexact, Kind, MixedSamples, Tensor
from nitic.export.graph import End, Graph
from nitic.interpret import Environment, known_values
from nitic.ir.function import argument, results
from nitic.ir.op import NnOp
from nitic.ir.sample import Part, parts_of
from nitic.ir.types import shape_of

OPSET = 12  # of onnxruntime 1.5: nothing here needs a later one
SAMPLES, LOGITS, BATCH = "input", "logits", "N"
NOTE = "docs/export.md lists the operators that have one; --format float takes any network"


def _forms() -> dict[str, Form]:
    """What the files of nitic/export/operators offer."""
    modules = [import_module(each.name) for each in iter_modules(operators.__path__, f"{operators.__name__}.")]
    return {name: form for module in modules for name, form in module.FORMS.items()}


FORMS = _forms()


def integer_model(name: str, predict: FuncOp, state: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """@predict of a state as an ONNX file, from uint8 samples as the program takes them to int8 logits.

    The batch is open, unless an operator mixes samples. Raises CompileError where an operator has no exact form.
    """
    constants = known_values(predict, state)
    dynamic = [op for op in predict.body.block.ops if isinstance(op, NnOp) and op.result not in constants]
    _check_forms(name, dynamic)
    try:
        emission = _emitted(name, predict, dynamic, constants, is_open=True)
    except MixedSamples:
        emission = _emitted(name, predict, dynamic, constants, is_open=False)
    (_, logits), (_, exponent) = results(predict)
    mantissas, e = emission.channels_last(emission.integer(logits)), emission.scalar(exponent)
    emission.graph.node("Cast", mantissas.name, result=LOGITS, to=INT8)
    batch = BATCH if emission.is_open else emission.batch
    sources = [
        End(part.name, "uint8", (batch, *part.shape), "samples as they are; the graph standardises them")
        for part in _parts(predict)
    ]
    sink = End(LOGITS, "int8", (batch, *mantissas.shape[1:]), f"a logit is 2^{e} times this")
    described = {**metadata, "nitic.format": "integer", "nitic.logits.exponent": str(e)}
    return emission.graph.model(name, sources, sink, described)


def _emitted(name: str, predict: FuncOp, ops: Sequence[NnOp], constants: Environment, is_open: bool) -> Emission:
    """All operators as nodes. Raises MixedSamples where the batch cannot be open."""
    samples = argument(predict, SAMPLES)
    shape, names = shape_of(samples), [part.name for part in _parts(predict)]
    emission = Emission(Graph(OPSET, names={*names, LOGITS}), FORMS, shape[0], is_open, constants)
    whole = names[0] if len(names) == 1 else _joined(emission.graph, names)
    emission.tensors[samples] = Tensor(whole, shape, Kind.CODE)
    for op in ops:
        try:
            emission.run(op)
        except Inexact as error:
            raise _refusal(name, f"{_place(op)} has no exact form in ONNX: {error}") from error
    return emission


def _parts(predict: FuncOp) -> Sequence[Part]:
    """What the file takes: the samples, or several inputs by name."""
    module = predict.parent_op()
    assert isinstance(module, ModuleOp)
    return parts_of(module) or [Part(SAMPLES, shape_of(argument(predict, SAMPLES))[1:])]


def _joined(graph: Graph, names: Sequence[str]) -> str:
    """Several inputs one behind the other, as the program takes them."""
    vectors = [graph.node("Flatten", name, hint=f"{name}.vector", axis=1) for name in names]
    return graph.node("Concat", *vectors, hint="samples", axis=1)


def _check_forms(name: str, ops: Sequence[NnOp]) -> None:
    """Raises CompileError with all operators that have no form."""
    missing = {op.name: _place(op) for op in ops if op.name not in FORMS}
    if missing:
        raise _refusal(name, f"there is no exact form in ONNX of {', '.join(missing.values())}")


def _place(op: NnOp) -> str:
    return f"{op.name} (node '{op.source}')" if op.source else op.name


def _refusal(name: str, message: str) -> CompileError:
    return CompileError(name, message, NOTE)
