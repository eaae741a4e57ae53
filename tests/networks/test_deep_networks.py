"""What compiling costs grows with the network, and no faster."""

import time
from pathlib import Path

from nitic.frontend.importer import import_onnx
from nitic.frontend.writer import NetworkWriter
from nitic.ops.fused import FusedOp
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.recipe import RECIPES

LAYERS = 60


def seconds(layers: int, folder: Path) -> float:
    """All passes on a chain of convolutions with a residual around every second one."""
    net = NetworkWriter("deep", (4, 2, 2))
    net.conv("first", 4, 1)
    for i in range(layers):
        before = net.value
        net.conv(f"conv{i}", 4, 1)
        net.relu()
        if i % 2:
            net.add(f"add{i}", before)
    net.linear("fc", 3)
    net.save(folder / "deep.onnx")
    start = time.process_time()
    module = import_onnx(folder / "deep.onnx", 2).module
    run_passes(module, [*training_passes(RECIPES["niti16"]), *target_passes("avx512vnni")])
    taken = time.process_time() - start
    assert sum(isinstance(op, FusedOp) for op in module.walk()) > 5 * layers
    return taken


def test_twice_the_layers_take_about_twice_the_time(tmp_path: Path) -> None:
    seconds(2, tmp_path)
    assert seconds(LAYERS, tmp_path) < 3 * seconds(LAYERS // 2, tmp_path)
