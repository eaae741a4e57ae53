"""What a kernel is to the rest of the compiler."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Launch:
    """How a kernel starts on a GPU: blocks, threads of a block, bytes of dynamic shared memory."""

    blocks: int
    threads: int
    shared: int = 0


@dataclass(frozen=True)
class Kernel:
    """A function: its symbol, its parameters in order with their element types, and how many units of work a call has.

    Of a kernel for a GPU, `launch` says how it starts, and `zeroed` names the parameters whose memory must be zero by
    then. `function` is TVM's; it is None where only the description is left.
    """

    name: str
    parameters: Mapping[str, str]
    units: int
    launch: Launch | None = None
    zeroed: tuple[str, ...] = ()
    function: Any = None


Kernels = Mapping[str, Mapping[str, Kernel]]
"""By variant and by the name that select-kernels gave."""
