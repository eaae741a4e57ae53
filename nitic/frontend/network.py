"""Reads a file as what is imported, and what is exported again: a network of floats with all its biases."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from nitic.frontend.biases import note_missing, restore
from nitic.frontend.classical import read_as_layers
from nitic.frontend.float_roundings import join_batch_norms, quantise_roundings
from nitic.frontend.loops import unroll
from nitic.frontend.model_file import read_model
from nitic.frontend.quantised import read_as_floats
from nitic.frontend.recurrent_weights import put_together


@dataclass(frozen=True)
class Network:
    """A file's model, the user's notes, by their first results why nodes are left that stand for quantised ones, and by
    activations the largest magnitude that a quantised file has codes for."""

    model: onnx.ModelProto
    notes: tuple[str, ...]
    unread: Mapping[str, str]
    ranges: Mapping[str, float]


def read_network(path: Path, restores_biases: bool = False) -> Network:
    """Raises CompileError for a file that is broken.

    restores_biases: layers without a bias get one of zeros.
    """
    model = read_model(path)
    read_as_layers(model, path.name)
    unroll(model)
    quantise_roundings(model.graph)
    found = read_as_floats(model.graph)
    join_batch_norms(model.graph)
    notes = [*found.notes, *put_together(model)]
    notes += restore(model) if restores_biases else note_missing(model)
    return Network(model, tuple(notes), found.unread, found.ranges)
