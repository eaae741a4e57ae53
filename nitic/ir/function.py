"""Functions of a program. Arguments and results have names and roles; an updated result has its argument's name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Region, SSAValue

from nitic.errors import CompileError, ExitCode
from nitic.ir.op import value_name

# Velocities come last: they start as zeros, which a program need not carry.
STATE_ROLES = ("weight", "master", "frozen", "exponent", "statistic", "velocity", "first_moment", "second_moment")


@dataclass(frozen=True)
class Label:
    """What a function calls one of its arguments or results."""

    name: str
    role: str

    def attribute(self) -> DictionaryAttr:
        return DictionaryAttr({"nn.name": StringAttr(self.name), "nn.role": StringAttr(self.role)})


def functions(module: ModuleOp) -> Iterator[FuncOp]:
    return (op for op in module.ops if isinstance(op, FuncOp))


def function(module: ModuleOp, name: str) -> FuncOp:
    """The function of a module with a name. Raises CompileError."""
    for candidate in functions(module):
        if candidate.sym_name.data == name:
            return candidate
    raise CompileError("", f"the module has no function @{name}", exit_code=ExitCode.USAGE)


def new_function(
    name: str, arguments: Sequence[tuple[Label, Attribute]], results: Sequence[tuple[Label, Attribute]] = ()
) -> FuncOp:
    """A function with labelled arguments and an empty body."""
    block = Block(arg_types=[type_ for _, type_ in arguments])
    for arg, (label, _) in zip(block.args, arguments, strict=True):
        arg.name_hint = value_name(label.name)
    func = FuncOp(name, ([type_ for _, type_ in arguments], [type_ for _, type_ in results]), Region(block))
    _label(func, [label for label, _ in arguments], [label for label, _ in results])
    return func


def argument_labels(func: FuncOp) -> list[Label]:
    return _labels(func.arg_attrs)


def result_labels(func: FuncOp) -> list[Label]:
    return _labels(func.res_attrs)


def _labels(attributes: ArrayAttr[DictionaryAttr] | None) -> list[Label]:
    return [Label(_text(d, "nn.name"), _text(d, "nn.role")) for d in attributes or ()]


def _text(attributes: DictionaryAttr, key: str) -> str:
    value = attributes.data[key]
    assert isinstance(value, StringAttr)
    return value.data


def _label(func: FuncOp, arguments: Sequence[Label], results: Sequence[Label]) -> None:
    func.properties["arg_attrs"] = ArrayAttr([label.attribute() for label in arguments])
    func.properties["res_attrs"] = ArrayAttr([label.attribute() for label in results])


def arguments(func: FuncOp) -> list[tuple[Label, BlockArgument]]:
    return list(zip(argument_labels(func), func.body.block.args, strict=True))


def argument(func: FuncOp, name: str) -> BlockArgument:
    """The argument with a name. Raises KeyError."""
    for label, arg in arguments(func):
        if label.name == name:
            return arg
    raise KeyError(name)


def results(func: FuncOp) -> list[tuple[Label, SSAValue]]:
    return list(zip(result_labels(func), return_of(func).operands, strict=True))


def return_of(func: FuncOp) -> ReturnOp:
    last = func.body.block.last_op
    assert isinstance(last, ReturnOp)
    return last


def add_argument(func: FuncOp, label: Label, type_: Attribute) -> BlockArgument:
    """Adds one argument, as `Signature.add` does."""
    signature = Signature(func)
    arg = signature.add(label, type_)
    signature.write()
    return arg


class Signature:
    """The arguments of a function to which many are added: the labels are written once, by `write`."""

    def __init__(self, func: FuncOp) -> None:
        self.func = func
        self.arguments = {label.name: (label, arg) for label, arg in arguments(func)}

    def add(self, label: Label, type_: Attribute) -> BlockArgument:
        """Appends an argument, or gives the one that already has the label. Raises CompileError where names clash."""
        if label.name in self.arguments:
            known, arg = self.arguments[label.name]
            if known != label:
                raise name_clash(label.name)
            return arg
        arg = self.func.body.block.insert_arg(type_, len(self.func.body.block.args))
        arg.name_hint = value_name(label.name)
        self.arguments[label.name] = (label, arg)
        return arg

    def write(self) -> None:
        """Gives the function the labels and types of its arguments."""
        set_arguments(self.func, [label for label, _ in self.arguments.values()])


def name_clash(name: str) -> CompileError:
    """A CompileError about a parameter that has the name of another tensor of the program."""
    return CompileError("", f"two tensors of the program are called '{name}': rename the parameter")


def set_arguments(func: FuncOp, labels: Sequence[Label]) -> None:
    """Relabels the arguments, which have been added to or taken from the body's block."""
    _label(func, labels, result_labels(func))
    refresh(func)


def set_results(func: FuncOp, values: Sequence[tuple[Label, SSAValue]]) -> None:
    """Makes the function return these values."""
    ret = return_of(func)
    ret.operands = [value for _, value in values]
    _label(func, argument_labels(func), [label for label, _ in values])
    refresh(func)


def refresh(func: FuncOp) -> None:
    """Makes the type of the function follow its body."""
    block = func.body.block
    types = [value.type for value in return_of(func).operands] if block.last_op else []
    func.properties["function_type"] = FunctionType.from_lists(block.arg_types, types)
