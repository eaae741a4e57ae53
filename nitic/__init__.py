"""nitic: compiles ONNX models to programs that train them with integers alone.

`nitic.compile`, `nitic.TrainingSession` and `nitic.export_torch` are the Python interface; the command line is `nitic`.
"""

from typing import TYPE_CHECKING, Any

from nitic.errors import CompileError
from nitic.version import VERSION

if TYPE_CHECKING:
    from nitic.frontend.torch_module import export_torch
    from nitic.session import CompiledProgram, Metrics, TrainingSession
    from nitic.session import compile_program as compile  # noqa: A004

__version__ = VERSION
__all__ = ["CompileError", "CompiledProgram", "Metrics", "TrainingSession", "__version__", "compile", "export_torch"]


def __getattr__(name: str) -> Any:
    """The compiler's parts are imported at first use: `nitic --help` needs none of them."""
    if name not in __all__:
        raise AttributeError(name)
    if name == "export_torch":
        from nitic.frontend import torch_module

        return torch_module.export_torch
    from nitic import session

    return getattr(session, "compile_program" if name == "compile" else name)
