"""Which part of a file's graph is imported: what its one output of logits needs."""

from dataclasses import dataclass

import onnx
from onnx import helper, numpy_helper

from nitic.errors import CompileError
from nitic.frontend.nodes import Node
from nitic.ir.types import Shape

NHWC_LAYOUT = "nhwc"
LOSSES = frozenset({"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"})
_REALS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, 0})
"""Element types of logits; 0 where the file does not say."""


@dataclass(frozen=True)
class Ports:
    """What the user says of a network's ends where its file leaves them open.

    `layout` is that of images in the file, nhwc or nchw; `input_shape` the shape of one sample there, without the
    batch; `output` the name of the value that training takes as logits.
    """

    layout: str | None = None
    input_shape: Shape | None = None
    output: str | None = None


AS_DECLARED = Ports()


def take_output(model: onnx.ModelProto, file: str, wanted: str | None) -> list[str]:
    """Leaves the graph with one output, and what that needs. Gives the user's notes.

    An output that is a loss stands for the logits that it is taken of. Raises CompileError where the file does not say
    which of several outputs is meant, or has none of the wanted name.
    """
    graph = model.graph
    names, notes = [wanted] if wanted else [value.name for value in graph.output], list[str]()
    makers = {name: node for node in graph.node for name in node.output}
    if wanted and wanted not in makers:
        raise CompileError(file, f"--output-name: no node makes {wanted!r}; the file's outputs are {_listed(graph)}")
    if not wanted and (integers := [value.name for value in graph.output if not _is_real(value)]) != names:
        notes += [f"output {name!r} holds no floats, so it is left out" for name in integers]
        names = [name for name in names if name not in integers]
    for i, name in enumerate(names):
        if name in makers and (node := Node(makers[name], 0)).op in LOSSES:
            names[i] = _logits(node, file)
            notes.append(f"{node}: dropped, because nitic has the loss, and takes the labels from the data")
    if len(found := list(dict.fromkeys(names))) != 1:
        note = "--output-name NAME takes one of them, or any other value of the network"
        raise CompileError(file, f"a network needs one output, but this has {len(found)}: {_listed(graph)}", note)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(found[0], onnx.TensorProto.FLOAT, None))
    drop_unneeded(graph)
    return notes


def take_positive_class(graph: onnx.GraphProto) -> list[str]:
    """Takes the probability s of class 1 as output where that is (1 - s, s). Gives the user's note.

    So scikit-learn's networks of two classes end: nitic trains the logit of s, and predicts both classes.
    """
    makers = {name: node for node in graph.node for name in node.output}
    (output,) = graph.output
    last = makers.get(output.name)
    while last is not None and last.op_type == "Identity":
        last = makers.get(last.input[0])
    if (
        last is None
        or last.op_type != "Concat"
        or len(last.input) != 2
        or Node(last, 0).attributes["axis"] not in {1, -1}
    ):
        return []
    other, positive = makers.get(last.input[0]), makers.get(last.input[1])
    if other is None or positive is None or (other.op_type, positive.op_type) != ("Sub", "Sigmoid"):
        return []
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    one = tensors.get(other.input[0])
    is_complement = one is not None and other.input[1] == last.input[1] and (numpy_helper.to_array(one) == 1).all()
    if not is_complement:
        return []
    output.name = last.input[1]
    drop_unneeded(graph)
    return [f"{Node(last, 0)}: the probabilities of two classes, of which the second one's logit is trained"]


def _listed(graph: onnx.GraphProto) -> str:
    return ", ".join(repr(value.name) for value in graph.output)


def _is_real(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in _REALS and not value.type.HasField("sequence_type")


def _logits(node: Node, file: str) -> str:
    """What a loss is taken of."""
    if len(node.proto.input) > 2:
        raise CompileError(f"{file}: {node}", "weights of classes are not supported", "export the network without it")
    return node.proto.input[0]


def drop_unneeded(graph: onnx.GraphProto) -> None:
    """Drops the nodes that no output needs."""
    needed = {value.name for value in graph.output}
    for at in reversed(range(len(graph.node))):
        if needed.intersection(graph.node[at].output):
            needed.update(graph.node[at].input)
        else:
            del graph.node[at]


def set_sample_shape(source: onnx.ValueInfoProto, sample: Shape, file: str) -> None:
    """Gives an input the shape of a sample where it leaves that open. Raises CompileError where it says another one."""
    dims = source.type.tensor_type.shape.dim
    batch, *known = dims or [onnx.TensorShapeProto.Dimension()]
    sizes = [dim.dim_value for dim in known] if dims else [0] * len(sample)
    if len(sizes) != len(sample) or any(size not in {0, given} for size, given in zip(sizes, sample, strict=True)):
        message = f"samples of {list(sample)} do not fit input {source.name!r}, where they are {sizes}; 0 is open"
        raise CompileError("--input-shape", f"{file}: {message}")
    shape = [batch, *(onnx.TensorShapeProto.Dimension(dim_value=size) for size in sample)]
    source.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=shape))
