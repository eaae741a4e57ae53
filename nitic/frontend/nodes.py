"""What the importer asks of an ONNX node: its name, attributes, and where in the user's program it comes from."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.frontend.attributes import ATTRIBUTES
from nitic.frontend.values import NodeError

_FRAME = re.compile(r'File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<text>.*)')
_LIBRARY = re.compile(r"(^|/)(torch|torchvision|site-packages)/")


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators in a file."""
    return max((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), default=1)


def replace_node(graph: onnx.GraphProto, node: onnx.NodeProto, made: Sequence[onnx.NodeProto]) -> None:
    """Puts nodes in the place of one."""
    at = list(graph.node).index(node)
    del graph.node[at]
    for each in reversed(made):
        graph.node.insert(at, each)


class Node:
    """One ONNX node. `name` tells it from all others where the importer has given it one of `unique_names`."""

    def __init__(self, proto: onnx.NodeProto, opset: int, name: str = "") -> None:
        self.proto = proto
        self.opset = opset
        self.name = name or file_name(proto)
        self.attributes: dict[str, Any] = {a.name: _decoded(helper.get_attribute_value(a)) for a in proto.attribute}

    @property
    def op(self) -> str:
        """The operator, with its domain where that is not ONNX's own."""
        domain = self.proto.domain
        return self.proto.op_type if domain in {"", "ai.onnx"} else f"{domain}::{self.proto.op_type}"

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"

    def check_attributes(self) -> None:
        """Raises NodeError for an attribute that is unknown, of another kind or outside its domain."""
        for name in self.attributes:
            if name not in ATTRIBUTES.get(self.op, {}):
                raise NodeError(f"attribute {name!r} is not supported")
            self.read(name)

    def read(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default. Raises NodeError for one that is missing or outside its domain."""
        attribute = ATTRIBUTES[self.op][name]
        value = self.attributes.get(name, attribute.default if default is None else default)
        if value is None:
            raise NodeError(f"attribute {name!r} is missing")
        attribute.check(f"attribute {name!r}", value)
        return value

    def number(self, name: str) -> float:
        return self.read(name)

    def integer(self, name: str, default: int | None = None) -> int:
        return self.read(name, default)

    def word(self, name: str) -> str:
        return self.read(name)

    def words(self, name: str, default: Sequence[str]) -> Sequence[str]:
        return self.read(name, default)

    def integers(self, name: str, default: Sequence[int] | None = None, length: int | None = None) -> tuple[int, ...]:
        """A list of integers of some length."""
        value = self.read(name, default)
        if length is not None and len(value) != length:
            raise NodeError(f"attribute {name!r} has {len(value)} values; two spatial dimensions need {length}")
        return tuple(value)

    @property
    def user_line(self) -> str:
        """The line of the user's program that made the node, where the exporter tells."""
        frames = _FRAME.finditer(self._metadata("pkg.torch.onnx.stack_trace"))
        own = [frame for frame in frames if not _LIBRARY.search(frame["file"])]
        if not own:
            return ""
        return f"{own[-1]['file']}:{own[-1]['line']} in {own[-1]['function']}: {own[-1]['text'].strip()}"

    @property
    def is_folded_batch_norm(self) -> bool:
        return "batch_norm" in self._metadata("pkg.torch.onnx.class_hierarchy")

    @property
    def module(self) -> str:
        """The name of the torch module that the node comes from (`layer1.0.conv1`), or an empty string."""
        scopes = self._metadata("pkg.torch.onnx.name_scopes")
        if scopes:
            return _second_to_last(scopes)
        path = ""
        for part in self.proto.name.split("/")[1:-1]:
            last = path.rpartition(".")[2]
            # a module in a Sequential repeats its parent's name: /layer1/layer1.0/conv1/Conv
            path = path[: len(path) - len(last)] + part if last and part.startswith(f"{last}.") else f"{path}.{part}"
        return path.lstrip(".")

    def _metadata(self, key: str) -> str:
        return next((entry.value for entry in self.proto.metadata_props if entry.key == key), "")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def file_name(proto: onnx.NodeProto) -> str:
    """What the file calls a node: its name, that of its first result, or its operator."""
    return proto.name or next(filter(None, proto.output), "") or proto.op_type.lower()


def unique_names(protos: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """A name for each node, since ONNX lets several share one: the second `n` is `n.2`, if nothing else is.

    Statistics are found by these names, in functions that do not round the same values.
    """
    wanted = [file_name(proto) for proto in protos]
    reserved, taken = set(wanted), set[str]()
    for name in wanted:
        free = (other for i in count(2) if (other := f"{name}.{i}") not in reserved and other not in taken)
        chosen = name if name not in taken else next(free)
        taken.add(chosen)
        yield chosen


def _second_to_last(text: str) -> str:
    """The second to last name of a list that is written as Python writes it."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    return names[-2] if isinstance(names, list) and len(names) > 1 and isinstance(names[-2], str) else ""


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """What initializers hold, and Constants of tensors or floats, by name."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    return held | {node.output[0]: tensor for node in graph.node if (tensor := _held(node))}


def _held(node: onnx.NodeProto) -> onnx.TensorProto | None:
    for each in node.attribute if node.op_type == "Constant" else ():
        if each.name == "value":
            return each.t
        if each.name in {"value_float", "value_floats"}:
            return numpy_helper.from_array(np.asarray(helper.get_attribute_value(each), np.float32))
    return None
