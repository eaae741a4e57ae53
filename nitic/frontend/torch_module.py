"""`nitic.export_torch`: a PyTorch module as an ONNX file with everything in it that can be trained."""

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import onnx
from onnx import helper, numpy_helper

from nitic.errors import CompileError, ExitCode
from nitic.frontend.model_file import first_line

OPSET, DYNAMO_OPSET = 17, 18
"""The newer exporter writes 18, which onnx's converter does not always make older."""
_NAMED = 5
"""How many names a message lists."""


class Module(Protocol):
    """What is asked of a torch.nn.Module, so that this file has types where torch is not installed."""

    training: bool

    def modules(self) -> Iterable["Module"]: ...
    def train(self, mode: bool = True) -> "Module": ...
    def named_parameters(self, *, remove_duplicate: bool = True) -> Iterable[tuple[str, Any]]: ...
    def named_buffers(self, *, remove_duplicate: bool = True) -> Iterable[tuple[str, Any]]: ...


def export_torch(module: Module, sample: Any, path: str | Path, **options: Any) -> Path:
    """Writes a PyTorch module as ONNX by torch's exporter, with all that training needs. Gives the path.

    Batch norms are kept, and so are dropouts, biases of zeros and the names of parameters; parameters and buffers have
    the values of the module, and lie inside the file. The batch is open. The module stays as it is: its mode, that of
    each part of it, and its running statistics.

    sample: a batch of float inputs, (N, ...); its values do not matter.
    options: of torch.onnx.export, in place of those that are chosen here: opset_version (17), input_names (input),
    output_names (logits), dynamic_axes. With dynamo=True the newer exporter writes it, for the batch of the sample
    and of opset 18.

    Raises CompileError before the file is written: where torch is missing, what its exporter made is no valid model, or
    a parameter or a buffer of floats is not in that under its name. What the exporter raises is left as it is.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]  # the types are checked without it
    except ImportError as error:
        note = "pip install torch, and for dynamo=True onnxscript"
        raise CompileError("nitic.export_torch", "torch is not installed", note, ExitCode.USAGE) from error
    modes = [(part, part.training) for part in module.modules()]
    saved = [(buffer, buffer.detach().clone()) for _, buffer in module.named_buffers()]
    batch = torch.cat([sample, sample]) if len(sample) == 1 else sample  # batch norm in training has no batch of 1
    try:
        with tempfile.TemporaryDirectory(prefix="nitic-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the older exporter is no longer the default
            made = Path(folder) / "model.onnx"
            torch.onnx.export(module.train(), (batch,), str(made), **_chosen(torch.onnx, options))
            model = onnx.load(made)
    finally:
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise CompileError(Path(path).name, f"torch's exporter wrote no valid model: {first_line(error)}") from error
    complete(model, module, Path(path).name)
    onnx.save(model, path)
    return Path(path)


def _chosen(exporter: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for torch.onnx.export, so that it takes nothing out of the network."""
    names: dict[str, Any] = {
        "input_names": ["input"],
        "output_names": ["logits"],
        "opset_version": OPSET,
        "verbose": False,
    }
    if options.get("dynamo"):
        return {**names, "optimize": False, "external_data": False, **options}
    named = {**names, **options}
    batch = {name: {0: "N"} for name in (*named["input_names"][:1], *named["output_names"][:1])}
    kept = {"training": exporter.TrainingMode.TRAINING, "do_constant_folding": False, "dynamic_axes": batch}
    return {"dynamo": False, **kept, **named}


def complete(model: onnx.ModelProto, module: Module, file: str) -> None:
    """Sees to it that the file has all parameters and buffers of floats of a module. Raises CompileError.

    It gives the buffers their values: the exporter has run the module, which moved its running statistics.
    """
    written = {tensor.name: tensor for tensor in model.graph.initializer}
    missing: list[str] = []
    for names, value in _floats(module):
        found = [written[name] for name in names if name in written and tuple(written[name].dims) == tuple(value.shape)]
        if not found:
            missing.append(names[0])
        elif not value.requires_grad:
            dtype = helper.tensor_dtype_to_np_dtype(found[0].data_type)
            array = value.detach().double().cpu().numpy().astype(dtype)
            found[0].CopyFrom(numpy_helper.from_array(array, found[0].name))
    if missing:
        listed = ", ".join(map(repr, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        message = f"{len(missing)} parameters or buffers of the module are not in it under their names: {listed}"
        note = (
            "the exporter leaves out what the network does not use, and what it computes with before it writes; take "
            "them out of the module, or call torch.onnx.export and see by `nitic check` what it wrote"
        )
        raise CompileError(file, message, note)


def _floats(module: Module) -> Iterator[tuple[list[str], Any]]:
    """Each tensor of floats of a module, with all the names that it has there."""
    found: dict[int, tuple[list[str], Any]] = {}
    for each in (module.named_parameters, module.named_buffers):
        for name, value in each(remove_duplicate=False):
            if value.is_floating_point():
                found.setdefault(id(value), ([], value))[0].append(name)
    yield from found.values()
