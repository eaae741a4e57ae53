"""What a kernel is to the rest of the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Launch:
    """How a kernel starts on a GPU: blocks, threads of a block, bytes of dynamic shared memory."""

    blocks: int
    threads: int
    shared: int = 0


@dataclass(frozen=True)
class Scratch:
    """Memory of a kernel for a GPU besides operands and results. What is `kept` lasts from step to step, zero at first.

    No result may depend on what is kept.
    """

    dtype: str
    count: int
    kept: bool = False


BLOCK = 4096
"""Elements that a thread takes of a point-wise kernel at least."""


@dataclass(frozen=True)
class Kernel:
    """A function: its symbol, its parameters in order with their element types, and how many units of work a call has.

    Of a kernel for a GPU, `launch` says how it starts, and `zeroed` names the parameters whose memory must be zero by
    then. `scratch` are those parameters, the last ones, that are no tensors of the program. `before` are kernels of the
    same parameters that run first. `function` is TVM's; it is None where only the description is left.
    """

    name: str
    parameters: Mapping[str, str]
    units: int
    launch: Launch | None = None
    zeroed: tuple[str, ...] = ()
    scratch: Mapping[str, Scratch] = field(default_factory=dict[str, Scratch])
    before: tuple[Kernel, ...] = ()
    function: Any = None

    @property
    def stages(self) -> tuple[Kernel, ...]:
        """All kernels that run, in order."""
        return *self.before, self

    def described(self) -> Kernel:
        """The same kernel without TVM's functions."""
        return replace(self, before=tuple(kernel.described() for kernel in self.before), function=None)


Kernels = Mapping[str, Mapping[str, Kernel]]
"""By variant and by the name that name-kernels gave."""
