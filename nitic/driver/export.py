"""`nitic export`: from a trained program back to ONNX."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xdsl.dialects.func import FuncOp

from nitic.arithmetic.integers import Array
from nitic.arithmetic.requantisation import NEVER
from nitic.checkpoint import digest
from nitic.codegen.output import link
from nitic.errors import CompileError, ExitCode
from nitic.export.integer import integer_model


@dataclass(frozen=True)
class Trained:
    """A program's @predict in integers, what the program is called, and a state of it."""

    name: str
    recipe: str
    identity: str
    predict: FuncOp
    state: Mapping[str, Array]

    def metadata(self) -> dict[str, str]:
        """What every exported file says of where it comes from."""
        return {"nitic.identity": self.identity, "nitic.recipe": self.recipe, "nitic.checkpoint": digest(self.state)}

    def check(self) -> None:
        """Raises CompileError for weights whose exponents nothing has set."""
        tops = [int(value) for name, value in self.state.items() if name.endswith(".top")]
        if tops and all(top == NEVER for top in tops):
            message = "these weights were never trained, so that nothing has set the exponents of inference"
            note = "train, or calibrate: `TrainingSession.calibrate`, or `predict`, on some samples"
            raise CompileError(self.name, message, note, ExitCode.USAGE)


def write_integer(trained: Trained, output: Path) -> Path:
    """Raises CompileError, before anything is written, where the program has no exact form in ONNX."""
    trained.check()
    return save(integer_model(trained.name, trained.predict, trained.state, trained.metadata()), output)


def save(model: bytes, output: Path) -> Path:
    """Writes a file in one go; gives its path. Raises CompileError."""
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        made = Path(folder) / "model.onnx"
        made.write_bytes(model)
        link.install(made, output)
    return output
