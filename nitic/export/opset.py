"""A file in another version of ONNX's operators."""

import numpy as np
import onnx
from onnx import checker, defs, helper, numpy_helper, shape_inference, version_converter

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError, ExitCode
from nitic.frontend.model_file import first_line
from nitic.frontend.nodes import opset

INVALID = (RuntimeError, ValueError, checker.ValidationError, shape_inference.InferenceError, defs.SchemaError)
DOMAINS = {"", "ai.onnx"}


def in_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """The file by the operators of a version; it may be changed itself. Raises CompileError where one is not there."""
    given = opset(model)
    if given == version:
        return model
    try:
        made = _raised(model, version) if version > given else _lowered(model, version)
        made.ir_version = helper.find_min_ir_version_for(list(made.opset_import), ignore_unknown=True)
        checker.check_model(made, full_check=True)
    except INVALID as error:
        message = f"the network, of opset {given}, cannot be written in opset {version}: {first_line(error)}"
        raise CompileError("--opset", message, exit_code=ExitCode.USAGE) from error
    return made


def _raised(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """By onnx's converter, without the shapes that it infers and keeps."""
    made = version_converter.convert_version(model, version)
    del made.graph.value_info[:]
    return made


def _lowered(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """onnx's converter lowers few operators, but most have only learnt more types and attributes since: they stay.

    What they have learnt and the file does not use is left out.
    """
    given, constants = opset(model), _Constants(model.graph)
    for each in model.opset_import:
        each.version = version if each.domain in DOMAINS else each.version
    for node in model.graph.node:
        if node.domain in DOMAINS:
            _lower(node, defs.get_schema(node.op_type, given), defs.get_schema(node.op_type, version), constants)
    return model


def _lower(node: onnx.NodeProto, now: defs.OpSchema, then: defs.OpSchema, constants: "_Constants") -> None:
    if "axes" in then.attributes and "axes" not in now.attributes and len(node.input) == 2:
        axes = constants.find(node.input.pop())
        if axes is None:
            raise ValueError(f"the axes of {node.name!r} are computed")
        node.attribute.append(helper.make_attribute("axes", axes.tolist()))
    kept = [each for each in node.attribute if each.name in then.attributes or not _is_idle(each, node, now, constants)]
    del node.attribute[:]
    node.attribute.extend(kept)


def _is_idle(attribute: onnx.AttributeProto, node: onnx.NodeProto, now: defs.OpSchema, constants: "_Constants") -> bool:
    """Whether it holds its default, or says what zeros mean in a shape that has none: a computed one is of sizes."""
    default = now.attributes[attribute.name].default_value
    if helper.get_attribute_value(attribute) == helper.get_attribute_value(default):
        return True
    shape = constants.find(node.input[1]) if attribute.name == "allowzero" else np.zeros(1)
    return shape is None or bool(shape.all())


class _Constants:
    """What initializers and Constant nodes hold."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = {node.output[0]: node.attribute[0] for node in graph.node if node.op_type == "Constant"}

    def find(self, name: str) -> Array | None:
        if name in self.tensors:
            return numpy_helper.to_array(self.tensors[name])
        if name not in self.nodes:
            return None
        held = helper.get_attribute_value(self.nodes[name])
        return numpy_helper.to_array(held) if isinstance(held, onnx.TensorProto) else np.asarray(held)
