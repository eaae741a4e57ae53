"""Elements of a split that is written as a sequence, against onnxruntime, and the places that say nothing."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from tests.support.onnx_models import Array, check_against_onnxruntime, random, save_network


def network(folder: Path, place: int, sizes: Array) -> Path:
    nodes = [
        helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        helper.make_node("SequenceAt", ["parts", "place"], ["part"]),
        helper.make_node("Flatten", ["part"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    values: dict[str, Array] = {"sizes": sizes, "place": np.array(place), "w": random(4, 3)}
    return save_network(folder / "m.onnx", nodes, (2, 12), values)


@pytest.mark.parametrize(
    ("place", "sizes"),
    [
        (0, np.array([4, 8])),
        (1, np.array([3, 4, 5])),
        (-1, np.array([8, 4])),
        (-2, np.array([2, 4, 6])),
        (2, np.array(4)),
    ],
)
def test_elements_are_those_of_onnxruntime(tmp_path: Path, place: int, sizes: Array) -> None:
    check_against_onnxruntime(network(tmp_path, place, sizes), random(2, 12))


@pytest.mark.parametrize(("place", "sizes"), [(-1, np.array(4)), (3, np.array([4, 8])), (-3, np.array([4, 8]))])
def test_a_place_that_the_sizes_do_not_say_is_refused_by_name(tmp_path: Path, place: int, sizes: Array) -> None:
    with pytest.raises(CompileError, match=r"SplitToSequence|SequenceAt"):
        import_onnx(network(tmp_path, place, sizes), 2)
