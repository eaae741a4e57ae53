# requirements: keras==3.15.1 torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2
"""Keras's own export, with PyTorch as its backend."""

import os

os.environ["KERAS_BACKEND"] = "torch"

from benchmarks.zoo.writers.files import Folder
from benchmarks.zoo.writers.scripts.keras_networks import write_all

if __name__ == "__main__":
    write_all(Folder("keras_torch"))
