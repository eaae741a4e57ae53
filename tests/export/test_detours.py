"""A network that leaves as a file and comes back learns on as if it had stayed."""

from pathlib import Path

import numpy as np

from nitic.export.float import float_model
from nitic.export.qdq import qdq_model
from nitic.frontend.importer import import_onnx
from nitic.ir.function import function
from tests.networks.stages import WRITERS, Interpreted, samples

BATCH, STEPS, TESTED = 16, 24, 320
SHAPE = (64,)


def train(net: Interpreted, begin: int, end: int) -> None:
    x, y = samples(SHAPE, BATCH * STEPS)
    net.normalise(x)
    for i in range(BATCH * begin, BATCH * end, BATCH):
        net.step(x[i : i + BATCH], y[i : i + BATCH])


def accuracy(net: Interpreted) -> float:
    x, y = samples(SHAPE, TESTED, seed=1)
    found = [net.run("predict", x[i : i + BATCH], y[i : i + BATCH])["logits"] for i in range(0, TESTED, BATCH)]
    return float((np.concatenate(found).argmax(1) == y).mean())


def test_the_way_by_a_file_costs_no_accuracy(tmp_path: Path) -> None:
    path, out = tmp_path / "mlp.onnx", tmp_path / "out.onnx"
    WRITERS["mlp"]().save(path)
    net, model = Interpreted(path, BATCH), import_onnx(path, BATCH)
    train(net, 0, STEPS // 2)
    half, state = accuracy(net), dict(net.state)
    train(net, STEPS // 2, STEPS)
    straight = accuracy(net)
    assert half < straight - 0.1, "the second half of the training teaches too little to tell"
    for content in (
        float_model(model, path, state, {}),
        qdq_model(model, path, function(net.module, "predict"), state, {}),
    ):
        out.write_bytes(content)
        again = Interpreted(out, BATCH)
        train(again, STEPS // 2, STEPS)
        assert abs(accuracy(again) - straight) < 0.06
