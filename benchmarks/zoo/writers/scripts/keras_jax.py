# requirements: keras==3.15.1 jax==0.10.2 jax2onnx==0.17.1 onnx==1.23.2
"""Keras's own export, with JAX as its backend."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from benchmarks.zoo.writers.files import Folder
from benchmarks.zoo.writers.scripts.keras_networks import write_all

if __name__ == "__main__":
    write_all(Folder("keras_jax"))
