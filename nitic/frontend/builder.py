"""Builds @predict while the importer walks the ONNX graph: operators, views and parameters."""

import re
from collections.abc import Callable, Hashable, Sequence
from math import inf, prod

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, SSAValue

from nitic.arithmetic.integers import Array
from nitic.frontend.attributes import check_values
from nitic.frontend.nodes import Node
from nitic.frontend.values import (
    NHWC,
    Activation,
    Constant,
    Conversion,
    NodeError,
    Transposed,
    Value,
    inverse,
    keeps_order,
    steps_between,
)
from nitic.ir.function import Label, Signature, new_function, set_results
from nitic.ir.op import NnOp, location, set_origin
from nitic.ir.sample import Part, set_parts
from nitic.ir.traits import Moves
from nitic.ir.types import Shape, f32, shape_of, tensor
from nitic.ops.concat import SliceOp
from nitic.ops.reshape import ReshapeOp, TransposeOp

# Names that exporters make up: onnx::Conv_193, val_7, 42, /fc/Transpose_output_0.
_MADE_UP = re.compile(r"^(onnx::.*|val_\d+|\d+|/.*|.*_output_\d+)$")
MAX_ELEMENTS = 2**31 - 1
UNCHANGED = "export with dynamo=True, optimize=False or with dynamo=False, training=TrainingMode.TRAINING"
"""How torch writes a network as it is."""
_SINGLE_INITIAL_VALUES = (0, 0.25, 1)


class Builder:
    """The function under construction. Operators get the location of `node`, the ONNX node being imported."""

    def __init__(self, input_shape: Shape, declared_batch: int, input_type: str = "FLOAT") -> None:
        self.func = new_function("predict", [(Label("input", "input"), tensor(input_shape, f32))])
        self.input = self.func.body.block.args[0]
        self.batch = input_shape[0]
        self.declared_batch = declared_batch
        """The batch size that the file fixes, or 0."""
        self.shape_in_file: Callable[[str], Shape] = lambda _: ()
        """The shape that a value of this name has in the file, 0 for an open axis; () where that is unknown."""
        self.input_type = input_type
        """What the file calls the type of the input's elements."""
        self.parameters: dict[str, Array] = {}
        self.conversions: dict[str, Conversion] = {}
        self.notes: list[str] = []
        self.folded: list[Node] = []
        """The nodes into which the exporter folded a batch normalisation."""
        self.without_bias: list[Node] = []
        """The nodes whose bias is zeros that the graph repeats."""
        self.conditions: set[SSAValue] = set()
        """The values that are 1 where a comparison holds, and else 0."""
        self.node: Node | None = None
        self.trains = True
        """Whether the parameters of the node are trained; others are frozen."""
        self._moved: dict[tuple[str, SSAValue, tuple[int, ...]], SSAValue] = {}
        self._arguments: dict[Hashable, tuple[Conversion, SSAValue]] = {}
        self._views: dict[tuple[Hashable, Conversion], SSAValue] = {}
        self._sources: set[str] = set()
        self.has_weights = False
        self._parts: Sequence[Part] = ()
        self._return = ReturnOp()
        self.func.body.block.add_op(self._return)
        self.signature = Signature(self.func)

    def parts(self, parts: Sequence[Part]) -> list[SSAValue]:
        """The inputs that lie one behind the other in the samples of the one that the function has."""
        self._parts, begin, values = parts, 0, list[SSAValue]()
        for part in parts:
            taken = SliceOp.along(self.input, 1, range(begin, begin + part.size))
            values.append(self.reshape(self.insert(taken), (self.batch, *part.shape)))
            begin += part.size
        return values

    def insert(self, op: NnOp) -> SSAValue:
        """Appends an operator; gives its first result."""
        check_size(shape_of(op.results[0]))
        set_origin(op, location(self.node.name if self.node else ""))
        self.func.body.block.insert_op_before(op, self._return)
        return op.results[0]

    def finish(self, logits: SSAValue) -> ModuleOp:
        self.signature.write()
        set_results(self.func, [(Label("logits", "output"), logits)])
        module = ModuleOp([self.func])
        if self._parts:
            set_parts(module, self._parts)
        module.verify()
        return module

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def batch_axis(self, name: str, x: Activation) -> int:
        """The axis of a value of the file that has the samples: the one that is open there, or has another batch."""
        sizes = zip(self.shape_in_file(name), x.shape, strict=False)
        axes = [axis for axis, (size, now) in enumerate(sizes) if size != now and size in {0, self.declared_batch}]
        return axes[0] if len(axes) == 1 and x.shape[axes[0]] == self.batch else 0

    # Views

    def reshape(self, value: SSAValue, shape: Shape) -> SSAValue:
        if isinstance(value.owner, ReshapeOp):
            return self.reshape(value.owner.x, shape)
        return value if shape_of(value) == shape else self._once(ReshapeOp, value, shape)

    def arranged(self, x: Activation, perm: tuple[int, ...]) -> SSAValue:
        """The activation with its axes, as ONNX sees them, in the order `perm`."""
        return self.in_onnx_order(self.view(x, perm))

    def _transpose(self, value: SSAValue, perm: tuple[int, ...]) -> SSAValue:
        shape = shape_of(value)
        if keeps_order(perm, shape):
            return self.reshape(value, tuple(shape[axis] for axis in perm))
        return self._once(TransposeOp, value, perm)

    def _once(self, kind: type[ReshapeOp | TransposeOp], value: SSAValue, to: tuple[int, ...]) -> SSAValue:
        """One operator for each view, however many nodes read it."""
        key = kind.name, value, to
        if key not in self._moved:
            self._moved[key] = self.insert(kind.of(value, **{"shape" if kind is ReshapeOp else "perm": to}))
        return self._moved[key]

    def nhwc(self, x: Activation) -> SSAValue:
        if len(x.shape) != 4:
            raise NodeError(f"expected an NCHW input, found one of the shape {list(x.shape)}")
        return self.arranged(x, NHWC)

    def in_onnx_order(self, x: Activation) -> SSAValue:
        return self.reshape(self._transpose(x.value, x.perm), x.shape)

    def transpose(self, x: Value, perm: tuple[int, ...]) -> Value:
        if sorted(perm) != list(range(len(x.shape))):
            raise NodeError(f"{list(perm)} is not a permutation of the axes of {list(x.shape)}")
        return x.transpose(perm) if isinstance(x, Constant) else self.view(x, perm)

    def view(self, x: Activation, perm: tuple[int, ...]) -> Activation:
        """The transposed view. It moves values only where a reshape has cut axes that were transposed."""
        shape = tuple(x.shape[axis] for axis in perm)
        if x.shape == x.transposed:
            return Activation(x.value, tuple(x.perm[axis] for axis in perm), shape)
        if pieces := x.refined():
            return Activation(self.reshape(x.value, pieces.physical), pieces.order(perm), shape)
        return self.view(Activation.of(self.in_onnx_order(x)), perm)

    def with_axes(self, x: Activation) -> Activation:
        """The same view of a value that has an axis for each of the view's, so that it can be cut along any of them."""
        if x.shape == x.transposed:
            return x
        pieces = x.refined()
        if pieces is None or (runs := pieces.runs()) is None:
            return Activation.nhwc(self.nhwc(x)) if len(x.shape) == 4 else Activation.of(self.in_onnx_order(x))
        order = sorted(range(len(runs)), key=runs.__getitem__)
        value = self.reshape(x.value, tuple(x.shape[axis] for axis in order))
        return Activation(value, inverse(order), x.shape)

    def rows(self, x: Activation, w: Constant) -> tuple[SSAValue, Constant]:
        """x and the weight [N, K] for a product x . w^T of matrices.

        Where x is a flattened NCHW view of an NHWC value, the columns of the weight are permuted instead of x:
        training then never moves an activation.
        """
        kept = len(x.perm) > 1 and x.perm[0] == 0 and x.physical[0] == x.shape[0]
        if not kept:
            return self.in_onnx_order(x), w
        if not x.in_order:
            columns = tuple(axis for axis in inverse(x.perm) if axis)
            w = w.reshape((w.shape[0], *x.transposed[1:])).transpose((0, *columns)).reshape(w.shape)
        return self.reshape(x.value, x.shape), w

    # Parameters

    def parameter(
        self,
        constant: Constant,
        kind: str,
        role: str = "weight",
        layer: SSAValue | None = None,
        at_least: float = -inf,
    ) -> SSAValue:
        """The argument of @predict for a parameter in nitic's order of axes; `kind` is its name in its module.

        A running statistic of a batch norm has the role `statistic`: it is part of the state, but not trained. Where
        several batch norms start from one tensor of the file, each still has its own. A bias is that of a `layer`.
        Raises NodeError for values that are not finite, or not `at_least` so large.
        """
        conversion = constant.conversion or Conversion(constant.name)
        key = self._identity(constant, conversion.source, kind, layer)
        if role == "weight" and key in self._arguments:
            return self._view(key, conversion)
        array = np.ascontiguousarray(constant.array, np.float32)
        check_values(f"parameter {conversion.source!r}", array, at_least)
        name = self._unique_name(conversion.source, constant.name, kind)
        label = Label(name, role if self.trains else "frozen")
        argument = self.signature.add(label, tensor(array.shape, f32))
        self.has_weights |= label.role == "weight"
        if role == "weight":
            self._note_tensor_of_several(conversion.source)
            self._arguments[key], self._views[key, conversion] = (conversion, argument), argument
        self.parameters[name], self.conversions[name] = array, conversion
        return argument

    def _identity(self, constant: Constant, source: str, kind: str, layer: SSAValue | None) -> Hashable:
        """What two nodes have in common that train one parameter.

        That they name one tensor says nothing where it holds one number, the initial value of many parameters:
        exporters merge equal tensors. Then nodes share a bias if they share the layer's weight, and nothing else.
        """
        if not _is_initial_value(constant.array):
            return source
        weights = self._weights(layer) if layer else []
        return (source, kind, *(weights or [self.node and self.node.name]))

    def _weights(self, layer: SSAValue) -> list[SSAValue]:
        """The parameters, in whatever layout, of the operator that makes a value."""
        operands = layer.owner.operands if isinstance(layer.owner, NnOp) else ()
        sources = map(_moved_from, operands)
        return [value for value in sources if isinstance(value, BlockArgument) and value is not self.input]

    def _note_tensor_of_several(self, source: str) -> None:
        if source in self._sources:
            self.note(
                f"parameter {source!r} holds one number, as exporters merge equal initial values, and several layers "
                "use it: each of them trains its own"
            )
        self._sources.add(source)

    def _view(self, key: Hashable, conversion: Conversion) -> SSAValue:
        """A parameter that is an argument already, with other axes or another shape."""
        if (key, conversion) not in self._views:
            first, value = self._arguments[key]
            for step in steps_between(first, conversion):
                value = self.insert(
                    TransposeOp.of(value, perm=step.perm)
                    if isinstance(step, Transposed)
                    else ReshapeOp.of(value, shape=step.after)
                )
            self._views[key, conversion] = value
        self.note(
            f"parameter {conversion.source!r} is used by several nodes, and trained as one; where the exporter merged "
            f"equal tensors, {UNCHANGED} to keep them apart"
        )
        return self._views[key, conversion]

    def _unique_name(self, source: str, name: str, kind: str) -> str:
        """The initializer's name, or where an exporter made it up, one from the module that the node comes from.

        The second parameter of an initializer has the name of the Identity that it comes through, or of its module.
        """
        taken = {"input", *self.parameters}
        name = name if source in taken else source
        made_up = _MADE_UP.match(name)
        if self.node and (made_up or name in taken):
            module = self.node.module or (self.node.name if made_up else "")
            name = f"{module}.{kind}" if module else name
        return name if name not in taken else next(n for i in range(2, 2**31) if (n := f"{name}.{i}") not in taken)


def _is_initial_value(array: Array) -> bool:
    """One number throughout. A single number must be one that layers begin with, as the slope of a PRelu is 0.25."""
    first = array.flat[0] if array.size else None
    return bool((array == first).all()) and (array.size > 1 or first in _SINGLE_INITIAL_VALUES)


def _moved_from(value: SSAValue) -> SSAValue:
    """The value before all operators that only move values."""
    while isinstance(value.owner, NnOp) and value.owner.has_trait(Moves):
        value = value.owner.operands[0]
    return value


def check_size(shape: Shape) -> None:
    """Kernels count elements in int32."""
    if prod(shape) > MAX_ELEMENTS:
        raise NodeError(f"a tensor of {list(shape)} has more than {MAX_ELEMENTS} elements")


def batch_flattened(x: Activation) -> tuple[Shape, Activation]:
    """The axes of x but the last, and x with these as one axis."""
    *rows, columns = x.shape
    return tuple(rows), x.reshape((prod(rows), columns))
