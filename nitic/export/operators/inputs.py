"""The map from samples to mantissas."""

import numpy as np

from nitic.export.emission import Emission, Form, Kind, Tensor, codes
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of


def input_map(e: Emission, op: NnOp) -> Tensor:
    """A table of 256 entries for each channel that has a map of its own."""
    x, *maps = op.operands
    samples = np.arange(256, dtype=np.uint8)[:, None]
    table = codes(np.asarray(op.reference(samples, *(e.constants[value] for value in maps)))).T
    if (table == table[:1]).all():
        table = table[:1]
    index = e.cast(e.written(x), Kind.INTEGER)
    if len(table) > 1:
        index = e.node("Add", index, np.arange(len(table), dtype=np.int32) * 256)
    name = e.graph.node("Gather", e.graph.constant(table.ravel(), "input_map"), index.name, hint=op.source or "mapped")
    return Tensor(name, shape_of(x), Kind.CODE)


FORMS: dict[str, Form] = {"nn.input_map": input_map}
