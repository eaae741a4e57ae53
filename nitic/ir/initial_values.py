"""How the initial values of parameters follow a pass that changes what a parameter means.

The IR holds no values: they lie beside it, by the names of @predict's arguments. A pass that needs other values says in
IR how to compute them: a function of old values by name, whose results are the new values by name. These functions
lie in a module within the module, @initial_values, which no other pass looks into. Whoever has the values runs the
functions in order, with the interpreter; `nitic opt`, which has none, prints them.
"""

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from nitic.ir.function import functions

NAME = "initial_values"


def add_initial_values(module: ModuleOp, func: FuncOp) -> None:
    """Makes initial values follow a function, whose arguments and results have names of parameters."""
    inner = _inner_module(module)
    if inner is None:
        inner = ModuleOp([], sym_name=StringAttr(NAME))
        module.body.block.add_op(inner)
    inner.body.block.add_op(func)


def take_initial_values(module: ModuleOp) -> list[FuncOp]:
    """Takes the functions out of the module, in the order in which they run."""
    inner = _inner_module(module)
    if inner is None:
        return []
    inner.detach()
    return list(functions(inner))


def _inner_module(module: ModuleOp) -> ModuleOp | None:
    """@initial_values, where the module has one."""
    inner = (op for op in module.ops if isinstance(op, ModuleOp) and op.sym_name == StringAttr(NAME))
    return next(inner, None)
