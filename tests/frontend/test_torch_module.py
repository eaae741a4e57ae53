"""`nitic.export_torch`: whole files of PyTorch modules. Only the last tests need torch, which is no dependency."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import nitic
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import import_onnx
from nitic.frontend.torch_module import complete
from tests.support.onnx_models import Array, random


class Tensor:
    """As much of a torch.Tensor as is asked for."""

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        self.array, self.shape, self.requires_grad = array, array.shape, requires_grad

    def is_floating_point(self) -> bool:
        return self.array.dtype.kind == "f"

    def detach(self) -> "Tensor":
        return self

    def double(self) -> "Tensor":
        return Tensor(self.array.astype(np.float64))

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> Array:
        return self.array


class Fake:
    """A module of one layer with a batch norm, and a second name for its weight."""

    training = False

    def __init__(self) -> None:
        weight = Tensor(random(3, 4), requires_grad=True)
        self.parameters = {"fc.weight": weight, "tied.weight": weight, "fc.bias": Tensor(random(3), requires_grad=True)}
        self.buffers = {"norm.running_mean": Tensor(random(3)), "norm.num_batches_tracked": Tensor(np.array(5))}

    def modules(self) -> Iterator["Fake"]:
        yield self

    def train(self, mode: bool = True) -> "Fake":
        self.training = mode
        return self

    def named_parameters(self, *, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        yield from self.parameters.items()

    def named_buffers(self, *, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        yield from self.buffers.items()


def written(module: Fake, **changed: Array) -> onnx.ModelProto:
    """What an exporter wrote of it, whose run has moved the mean."""
    arrays = {name: tensor.array for name, tensor in module.parameters.items() if name != "tied.weight"}
    arrays |= {"norm.running_mean": np.zeros(3, np.float32)} | {
        key.replace("_", ".", 1): v for key, v in changed.items()
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=tensors))


def test_a_whole_file_gets_the_values_of_the_buffers() -> None:
    module = Fake()
    model = written(module)
    complete(model, module, "m.onnx")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert list(found) == ["fc.weight", "fc.bias", "norm.running_mean"]
    np.testing.assert_array_equal(found["norm.running_mean"], module.buffers["norm.running_mean"].array)
    np.testing.assert_array_equal(found["fc.weight"], module.parameters["fc.weight"].array)


@pytest.mark.parametrize("name", ["fc.weight", "fc.bias", "norm.running_mean"])
def test_what_is_missing_is_named(name: str) -> None:
    module = Fake()
    model = written(module)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(CompileError, match=f"1 parameters or buffers of the module are not in it .*: '{name}'"):
        complete(model, module, "m.onnx")


def test_a_tensor_of_another_shape_is_another(tmp_path: Path) -> None:
    module = Fake()
    with pytest.raises(CompileError, match=r"'fc\.weight'"):
        complete(written(module, fc_weight=random(4, 3)), module, "m.onnx")


def test_a_tied_parameter_may_have_either_name() -> None:
    module = Fake()
    model = written(module)
    model.graph.initializer[0].name = "tied.weight"
    complete(model, module, "m.onnx")


def test_a_long_list_is_cut() -> None:
    module = Fake()
    model = written(module)
    module.parameters |= {f"layer{i}.weight": Tensor(random(2), requires_grad=True) for i in range(9)}
    with pytest.raises(CompileError, match=r"9 parameters or buffers .*'layer4.weight', \.\.\.\n") as caught:
        complete(model, module, "m.onnx")
    assert "nitic check" in caught.value.note


def test_without_torch_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CompileError, match="torch is not installed") as caught:
        nitic.export_torch(Fake(), np.zeros((1, 4)), tmp_path / "m.onnx")
    assert caught.value.exit_code == ExitCode.USAGE
    assert not list(tmp_path.iterdir())


# With torch


def network(torch: Any) -> Any:
    """Biases of zeros, batch norm behind each kind of layer, dropout, and constants of the network."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.features = torch.nn.Sequential(
                *(torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU()),
                *(torch.nn.Conv2d(8, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3)),
            )
            self.head = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3))
            self.fc = torch.nn.Linear(8, 5)
            self.register_buffer("offset", torch.full((1, 3, 1, 1), 0.5))
            for layer in (*self.features, *self.head, self.fc):
                if getattr(layer, "bias", None) is not None:
                    torch.nn.init.zeros_(layer.bias)
            self.features[1].running_mean.normal_()

        def forward(self, x: Any) -> Any:
            return self.fc(self.head(self.features(x - self.offset).mean((2, 3))))

    return Network()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("options", [{}, {"opset_version": 18}, {"dynamo": True}])
def test_what_torch_writes_has_everything_to_train(tmp_path: Path, options: dict[str, Any], batch: int) -> None:
    """This runs torch's exporter, and so only where torch is installed (and onnxscript, for dynamo=True)."""
    torch: Any = pytest.importorskip("torch")
    if "dynamo" in options:
        pytest.importorskip("onnxscript")
    module = network(torch).eval()
    module.head[2].train()
    modes = [part.training for part in module.modules()]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    path = nitic.export_torch(module, torch.zeros(batch, 3, 8, 8), tmp_path / "m.onnx", **options)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]
    proto = onnx.load(path)
    assert proto.opset_import[0].version == options.get("opset_version", 17 if not options else 18)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for name, value in before.items():
        if value.is_floating_point():
            np.testing.assert_array_equal(tensors[name], value.numpy(), name)
    operators = [node.op_type for node in proto.graph.node]
    assert operators.count("BatchNormalization") == 2
    assert operators.count("Dropout") == 1
    model = import_onnx(path, 4)
    assert {name for name, _ in module.named_parameters()} <= model.parameters.keys()
    assert not any("folded" in note or "several layers" in note for note in model.notes)


def test_what_the_network_does_not_use_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    """This runs torch's exporter, and so only where torch is installed."""
    torch: Any = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 3))
    module.register_buffer("unused", torch.ones(2))
    with pytest.raises(CompileError, match="'unused'"):
        nitic.export_torch(module, torch.zeros(2, 4), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert module.training


def test_a_file_that_is_not_valid_is_not_written(tmp_path: Path) -> None:
    """This runs torch's newer exporter, which calls a value as it calls a buffer."""
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")

    class Collision(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.register_buffer("mean", torch.ones(1))

        def forward(self, x: Any) -> Any:
            return super().forward(x.mean(1) - self.mean)

    with pytest.raises(CompileError, match=r"torch's exporter wrote no valid model: .*'mean'"):
        nitic.export_torch(Collision(), torch.zeros(2, 3, 4), tmp_path / "m.onnx", dynamo=True)
    assert not list(tmp_path.iterdir())


def test_an_exporter_that_fails_leaves_the_module_as_it_was(tmp_path: Path) -> None:
    """This runs torch's exporter, and so only where torch is installed."""
    torch: Any = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).eval()
    before = module[0].running_mean.clone()
    with pytest.raises(RuntimeError):
        nitic.export_torch(module, torch.ones(2, 5), tmp_path / "m.onnx")
    assert not module.training
    assert torch.equal(module[0].running_mean, before)
    assert not list(tmp_path.iterdir())
