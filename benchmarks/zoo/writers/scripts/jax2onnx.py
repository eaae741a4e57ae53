# requirements: jax==0.10.2 flax==0.12.8 jax2onnx==0.17.1 onnx==1.23.2
"""Networks of Flax, and of JAX's own functions, by jax2onnx."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from flax import nnx

from benchmarks.zoo.writers.files import UNIT, Folder, Samples

GREY, ROWS = Samples((28, 28, 1), UNIT), Samples((12, 16), UNIT)


class Mlp(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc1, self.fc2 = nnx.Linear(784, 32, rngs=rngs), nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.fc2(nnx.relu(self.fc1(x.reshape((x.shape[0], -1)))))


class Cnn(nnx.Module):
    """Flax's own MNIST example, narrower."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(8, 16, kernel_size=(3, 3), rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(784, 32, rngs=rngs), nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.avg_pool(nnx.relu(self.conv1(x)), window_shape=(2, 2), strides=(2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), window_shape=(2, 2), strides=(2, 2))
        return self.fc2(nnx.relu(self.fc1(x.reshape((x.shape[0], -1)))))


class Residual(nnx.Module):
    """Batch norm with moved statistics, a residual sum and a mean of the image."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), strides=2, use_bias=False, rngs=rngs)
        self.conv2 = nnx.Conv(8, 8, kernel_size=(3, 3), use_bias=False, rngs=rngs)
        self.bn1 = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)
        self.bn2 = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)
        self.fc = nnx.Linear(8, 10, rngs=rngs)
        rng = np.random.default_rng(0)
        for norm in (self.bn1, self.bn2):
            for part in (norm.mean, norm.var, norm.scale, norm.bias):
                part.value = jnp.asarray(rng.uniform(0.5, 1.5, 8), jnp.float32)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.silu(x + self.bn2(self.conv2(x)))
        return self.fc(x.mean(axis=(1, 2)))


def functions(x: Any) -> Any:
    """JAX's own functions and constants."""
    rng = np.random.default_rng(0)
    w1 = jnp.asarray(rng.normal(size=(784, 32)) / 28, jnp.float32)
    w2 = jnp.asarray(rng.normal(size=(32, 10)) / 6, jnp.float32)
    hidden = jax.nn.gelu((x.reshape((x.shape[0], -1)) - 0.5) / 0.25 @ w1)
    return jax.nn.log_softmax(hidden @ w2)


def scan(x: Any) -> Any:
    """A recurrent layer by lax.scan."""
    rng = np.random.default_rng(0)
    w, r, out = (jnp.asarray(rng.normal(size=s) / 4, jnp.float32) for s in ((16, 12), (12, 12), (12, 10)))
    h = jnp.zeros((x.shape[0], 12), jnp.float32)
    last, _ = jax.lax.scan(lambda h, xt: (jnp.tanh(xt @ w + h @ r), None), h, jnp.swapaxes(x, 0, 1))
    return last @ out


def main() -> None:
    from jax2onnx import to_onnx

    folder = Folder("jax2onnx")
    networks: dict[str, tuple[Any, Samples, str]] = {
        "mlp": (lambda: Mlp(nnx.Rngs(0)), GREY, "logits"),
        "cnn": (lambda: Cnn(nnx.Rngs(0)), GREY, "logits"),
        "residual": (lambda: Residual(nnx.Rngs(0)), GREY, "logits"),
        "functions": (lambda: functions, GREY, "log_softmax"),
        "scan": (lambda: scan, ROWS, "logits"),
    }
    for name, (make, samples, head) in networks.items():

        def export(path: str, make: Any = make, samples: Samples = samples) -> None:
            onnx.save(to_onnx(make(), inputs=[("B", *samples.shape)]), path)

        folder.write(export, name, "", samples, head)


if __name__ == "__main__":
    main()
