"""Reads an ONNX file and its sidecars. Whatever is wrong with them becomes a CompileError."""

from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, helper, inliner

from nitic.errors import CompileError, ExitCode

OWN_DOMAIN = "ai.onnx"
MAX_CALLS, MAX_INLINED = 10_000, 2**28
_HALF_BYTES = frozenset({onnx.TensorProto.UINT4, onnx.TensorProto.INT4, onnx.TensorProto.FLOAT4E2M1})


def read_model(path: Path) -> onnx.ModelProto:
    """The checked model with all its data, and without local functions."""
    model = _parse(path)
    _load_external_data(model, path)
    _name_own_domain(model)
    _give_shapes(model.graph)
    try:
        onnx.checker.check_model(model)
        return inlined(model) if model.functions else model
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _broken(path, f"is not a valid ONNX model: {first_line(error)}") from error


def _name_own_domain(model: onnx.ModelProto) -> None:
    """ONNX's own operators have two names for their domain, of which onnx knows one. onnxruntime takes both."""
    for graph in (model.graph, *model.functions):
        for node in graph.node:
            if node.domain == OWN_DOMAIN:
                node.domain = ""
    for imports in (model.opset_import, *(function.opset_import for function in model.functions)):
        has_both = any(each.domain == "" for each in imports)
        for at in reversed([i for i, each in enumerate(imports) if each.domain == OWN_DOMAIN]):
            if has_both:
                del imports[at]
            else:
                imports[at].domain = ""


def _give_shapes(graph: onnx.GraphProto) -> None:
    """onnx wants a type and a shape of every value that is described; nitic computes those of outputs itself."""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        if value.type.WhichOneof("value") is None:
            kind.elem_type = onnx.TensorProto.FLOAT
        if value.type.HasField("tensor_type") and not kind.HasField("shape"):
            kind.shape.SetInParent()


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions. Each node of one tells, as its call does, where it comes from.

    Raises ValueError where functions call each other without end.
    """
    functions = {(function.domain, function.name): function for function in model.functions}
    calls = [(node, functions.get((node.domain, node.op_type))) for node in model.graph.node]
    left = MAX_INLINED
    while calls:
        node, function = calls.pop()
        if function is None:
            continue
        if len(model.functions) > MAX_CALLS:
            raise ValueError(f"its local functions are called more than {MAX_CALLS} times")
        left -= function.ByteSize()
        if left < 0:
            raise ValueError(f"its local functions have more than {MAX_INLINED} bytes where they are called")
        own = onnx.FunctionProto()
        own.CopyFrom(function)
        own.name = node.op_type = f"{function.name}.{len(model.functions)}"
        for inner in own.node:
            if not inner.metadata_props:
                inner.metadata_props.extend(node.metadata_props)
        model.functions.append(own)
        added = model.functions[-1].node
        calls += [(each, functions.get((each.domain, each.op_type))) for each in added]
    return inliner.inline_local_functions(model)


def _parse(path: Path) -> onnx.ModelProto:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise _broken(path, "is a pipe or a device: a model has to be a file")
        data = path.read_bytes()
    except OSError as error:
        raise CompileError(str(path), f"cannot be read: {error.strerror}", exit_code=ExitCode.RUN_TIME) from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        message = f"is truncated or not an ONNX file: its {len(data)} bytes do not parse as a protobuf"
        raise _broken(path, message) from error
    for text in _texts(model.graph):
        if not isinstance(text, str):  # protobuf gives bytes where a text is not UTF-8
            raise _broken(path, f"is corrupt: the name {text!r} is not UTF-8")
    if not model.graph.node:
        raise _broken(path, f"has no operators: its {len(data)} bytes hold an empty graph")
    return model


def _texts(graph: onnx.GraphProto) -> Iterator[object]:
    """Every text that the importer reads."""
    for value in (*graph.initializer, *graph.input, *graph.output):
        yield value.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
        yield from (text for entry in node.metadata_props for text in (entry.key, entry.value))
    for value in graph.input:
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def stored_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Initializers, and what Constant nodes hold."""
    yield from graph.initializer
    for node in graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR)


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Reads the weights that lie in files of their own, which must be in the model's folder."""
    for tensor in stored_tensors(model.graph):
        if not external_data_helper.uses_external_data(tensor):
            continue
        sidecar = sidecar_of(tensor)
        file = _sidecar_file(path, sidecar)
        if not file.is_file():
            message = f"the external data file {sidecar!r}, which holds tensor {tensor.name!r}, is missing"
            raise _broken(path, message, f"it belongs beside the model, in {path.parent.resolve()}")
        _check_extent(tensor, path, file)
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = file.name  # onnx follows no links
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(file.parent))
        except (onnx.checker.ValidationError, ValueError, OSError, RuntimeError, OverflowError) as error:
            message = f"cannot read tensor {tensor.name!r} from {sidecar!r}: {first_line(error)}"
            raise _broken(path, message) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _sidecar_file(path: Path, sidecar: str) -> Path:
    """The file of weights itself. Raises CompileError where it is neither in the model's folder nor below it.

    Where the model is a link, its folder is that of the link, or that of the file that the link leads to: the cache of
    Hugging Face's hub keeps both the model and its weights elsewhere, in one folder, and links to them.
    """
    try:
        file = (path.parent / sidecar).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a name that no file can have
        message = f"the external data file {sidecar!r} cannot be found: {first_line(error)}"
        raise _broken(path, message) from error
    named_inside = not Path(sidecar).is_absolute() and ".." not in Path(sidecar).parts
    if not (named_inside and any(map(file.is_relative_to, (path.parent.resolve(), path.resolve().parent)))):
        raise _broken(path, f"the external data file {sidecar!r} lies outside of the model's folder")
    return file


def _check_extent(tensor: onnx.TensorProto, path: Path, file: Path) -> None:
    """Sees to it that exactly the bytes of the tensor are read, which its file has."""
    entries = _entries(tensor)
    what = f"tensor {tensor.name!r} in {entries['location']!r}"
    try:
        size = _bytes(tensor)
    except (KeyError, ValueError, TypeError):
        raise _broken(path, f"{what} has no known type and shape") from None
    begin, length = (entries.get(key) or default for key, default in (("offset", "0"), ("length", str(size))))
    if not (_is_size(begin) and _is_size(length)):
        raise _broken(path, f"{what} begins at {begin!r} and has {length!r} bytes: expected integers from 0 on")
    if int(length) != size:
        raise _broken(path, f"{what} has {length} bytes, but its shape {list(tensor.dims)} asks for {size}")
    end, held = int(begin) + size, file.stat().st_size
    if end > held:
        raise _broken(path, f"{what} ends at byte {end}, but the file has {held}")
    if "length" not in entries:
        tensor.external_data.add(key="length", value=length)


def sidecar_of(tensor: onnx.TensorProto) -> str:
    """The file that a tensor with external data lies in."""
    return _entries(tensor).get("location", "")


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _bytes(tensor: onnx.TensorProto) -> int:
    """How many bytes a tensor has as raw data. Raises KeyError, TypeError or ValueError where it does not say."""
    if min(tensor.dims, default=0) < 0:
        raise ValueError
    bits = 4 if tensor.data_type in _HALF_BYTES else 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return -(-prod(tensor.dims) * bits // 8)


def _broken(path: Path, message: str, note: str = "") -> CompileError:
    """A file that nobody could import, unlike one that nitic does not support."""
    return CompileError(path.name, message, note, exit_code=ExitCode.RUN_TIME)


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
