"""Sequences of tensors: torch's newer exporter writes a split as one, of which it takes each element by its place."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.nodes import constants, replace_node


def without_sequences(graph: onnx.GraphProto) -> None:
    """Puts a Slice in the place of each SequenceAt, at a constant place, of a SplitToSequence into constant sizes."""
    splits = {node.output[0]: node for node in graph.node if node.op_type == "SplitToSequence"}
    if not splits:
        return
    tensors = constants(graph)
    for node in [node for node in graph.node if node.op_type == "SequenceAt"]:
        split = splits.get(node.input[0])
        if split and node.input[1] in tensors and split.input[1:] and split.input[1] in tensors:
            axis = next((helper.get_attribute_value(each) for each in split.attribute if each.name == "axis"), 0)
            place, sizes = (numpy_helper.to_array(tensors[name]) for name in (node.input[1], split.input[1]))
            part = _part(place, sizes)
            if part is None:
                continue
            begin, end = part
            names = [f"{node.output[0]}.{key}" for key in ("begin", "end", "axis")]
            for name, value in zip(names, (begin, end, axis), strict=True):
                graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
            replace_node(graph, node, [helper.make_node("Slice", [split.input[0], *names], node.output, node.name)])


def _part(place: Array, sizes: Array) -> tuple[int, int] | None:
    """Begin and end of an element of a sequence, from its sizes, or from the one size of all but the last; None where
    they do not say which element it is."""
    if place.size != 1 or sizes.size == 0:
        return None
    at = int(place.reshape(-1)[0])
    if sizes.ndim == 0:
        size = int(sizes)
        return (at * size, at * size + size) if at >= 0 else None  # from the end on, its place depends on the input
    if not -len(sizes) <= at < len(sizes):
        return None
    begin = int(sizes[: at % len(sizes)].sum())
    return begin, begin + int(sizes[at])
