#!/usr/bin/env bash
# What Keras's Normalization layer learnt is not in the ONNX file: it becomes inputs that nobody can give.
#
# Versions: keras 3.15.1, tensorflow-cpu 2.21.0, tf2onnx 1.17.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: with TensorFlow as the backend, `model.export(path, format="onnx")` of a network that begins with
#   Normalization(mean=..., variance=...) writes a graph with three inputs: the samples, the mean and the variance. The
#   mean is nowhere in the file (the reciprocal of the deviation is, so that nothing reads the third input).
# Output seen (2026-12-01, Python 3.11.7):
#   3 inputs: [None, 3], [1, 3], [1, 3]
#   the mean is in the file: no
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/export.py" <<'PY'
import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import onnx
from onnx import numpy_helper

MEAN = [125.0, 123.0, 114.0]
layers = [keras.Input((3,)), keras.layers.Normalization(mean=MEAN, variance=[9.0, 4.0, 25.0]), keras.layers.Dense(2)]
model = keras.Sequential(layers)
model(np.zeros((1, 3), np.float32))  # `export` wants it called
model.export("model.onnx", format="onnx", verbose=False)
graph = onnx.load("model.onnx").graph
shapes = [[dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in graph.input]
held = [numpy_helper.to_array(tensor).reshape(-1) for tensor in graph.initializer]
has_mean = any(array.shape == (3,) and np.allclose(np.abs(array), MEAN) for array in held)
print(f"{len(shapes)} inputs: {', '.join(map(str, shapes))}")
print(f"the mean is in the file: {'yes' if has_mean else 'no'}")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  'keras==3.15.1' 'tensorflow-cpu==2.21.0' 'tf2onnx==1.17.0' 'onnx==1.23.2' 'numpy==2.4.6'
cd "$work"
env/bin/python export.py 2> errors > seen || { cat errors; exit 1; }

cat seen
diff seen - <<'EXPECTED'
3 inputs: [None, 3], [1, 3], [1, 3]
the mean is in the file: no
EXPECTED
