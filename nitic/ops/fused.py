"""A group of operators that becomes one kernel."""

import re
from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr, NoneAttr, StringAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from nitic.ir.op import NnOp, parse_properties, print_properties
from nitic.ir.text import meaning
from nitic.ir.traits import OfShape
from nitic.ir.types import is_tensor, shape_of, tensor_type
from nitic.ops.bfp import ScalarOp, ScalarUpdateOp

FLAT = "flat"
"""The template of point-wise groups on a CPU whose tensors all have one shape: their kernels serve every shape."""
_SHAPE, _ANY_SHAPE = re.compile(r"tensor<(\d+x)+"), "tensor<1x"


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The results of a group."""

    name = "nn.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "$values attr-dict `:` type($values)"


@irdl_op_definition
class FusedOp(IRDLOperation):
    """One kernel: its region takes the operands as block arguments and yields the results.

    select-kernels says which `template` it is made by, name-kernels names the `kernel`, schedule-calls numbers the
    `phase`, and plan-memory adds `buffers`, the arena offset of each parameter.
    """

    name = "nn.fused"
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    template = opt_prop_def(StringAttr)
    kernel = opt_prop_def(StringAttr)
    phase = opt_prop_def(IntegerAttr[I64])
    buffers = opt_prop_def(DenseArrayBase[I64])
    traits = traits_def(Pure(), IsolatedFromAbove())

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def members(self) -> list[Operation]:
        """The operators of the group, without the terminator."""
        return list(self.block.ops)[:-1]

    @property
    def anchor(self) -> NnOp | None:
        """The first operator on tensors, which owns the loops; None in a group of scalars."""
        return next(iter(self.tensor_ops), None)

    @property
    def tensor_ops(self) -> list[NnOp]:
        members = [op for op in self.members if isinstance(op, NnOp)]
        return [op for op in members if not isinstance(op, ScalarOp | ScalarUpdateOp)]

    @property
    def made_by(self) -> str:
        """The template, which select-kernels has chosen."""
        assert self.template is not None
        return self.template.data

    @property
    def size(self) -> int | None:
        """How many elements its tensors have, where all have one shape and are row-major; scalars do not count.

        None as well where an operator computes with the shape, or an int32 does not count so many.
        """
        if any(op.has_trait(OfShape) for op in self.tensor_ops):
            return None
        values = [value for op in self.tensor_ops for value in (*op.operands, *op.results) if is_tensor(value)]
        kinds = {(shape_of(value), tensor_type(value).encoding) for value in values if shape_of(value)}
        (shape, encoding), *others = kinds or {((), NoneAttr())}
        alike = shape and isinstance(encoding, NoneAttr) and not others
        return prod(shape) if alike and prod(shape) < 2**31 else None

    @property
    def meaning(self) -> str:
        """What decides the kernel, as text: the template, and the region apart from what its values are called."""
        text = meaning(self.body)
        return f"{self.made_by}\n{_SHAPE.sub(_ANY_SHAPE, text) if self.made_by == FLAT else text}"

    @property
    def yielded(self) -> Sequence[SSAValue]:
        last = self.block.last_op
        assert isinstance(last, YieldOp)
        return last.values

    def verify_(self) -> None:
        if [arg.type for arg in self.block.args] != list(self.operand_types):
            raise VerifyException("a group's block arguments have the types of its operands")
        if not isinstance(self.block.last_op, YieldOp):
            raise VerifyException("a group ends in nn.yield")
        if [value.type for value in self.yielded] != list(self.result_types):
            raise VerifyException("a group's results have the types of what it yields")

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_ssa_value)
        print_properties(printer, self)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)
        printer.print_string(" ")
        printer.print_region(self.body)

    @classmethod
    def parse(cls, parser: Parser) -> "FusedOp":
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        properties = parse_properties(parser)
        types = parser.parse_function_type()
        values = parser.resolve_operands(operands or (), types.inputs.data, parser.pos)
        regions = [parser.parse_region()]
        return cls.create(operands=values, result_types=types.outputs.data, properties=properties, regions=regions)

    def updates(self) -> dict[int, int]:
        """Which result is written in place of which operand."""
        pairs: dict[int, int] = {}
        for op in self.members:
            for result, operand in op.UPDATES if isinstance(op, NnOp) else ():
                target = op.operands[operand]
                if isinstance(target, BlockArgument) and op.results[result] in self.yielded:
                    pairs[list(self.yielded).index(op.results[result])] = target.index
        return pairs

    @property
    def parameters(self) -> list[SSAValue]:
        """What the kernel takes: every operand, then every result that is not written in place of one."""
        updates = self.updates()
        return [*self.operands, *(result for i, result in enumerate(self.results) if i not in updates)]


def phase_of(op: FusedOp) -> int:
    assert op.phase is not None
    return op.phase.value.data
