# requirements: keras==3.15.1 tensorflow-cpu==2.21.0 tf2onnx==1.17.0
"""Keras's own export, with TensorFlow as its backend."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from benchmarks.zoo.writers.files import Folder
from benchmarks.zoo.writers.scripts.keras_networks import write_all

if __name__ == "__main__":
    write_all(Folder("keras_tensorflow"))
