#!/usr/bin/env bash
# onnxruntime does not run the max pools that jax2onnx writes.
#
# Versions: jax 0.10.2, jax2onnx 0.17.1, onnx 1.23.2, onnxruntime 1.32.0.
# Behaviour: jax2onnx writes lax.reduce_window with max, as Keras's MaxPooling2D is in JAX, as a MaxPool with a spatial
#   axis for each axis of the tensor, batch and channels among them. Of an image these are four. onnxruntime has pools of
#   up to three, and says so when the node runs. Sums over windows become a Conv by ones, which it does run.
# Output seen (2026-12-01, Python 3.11.7):
#   MaxPool, kernel_shape [1, 2, 2, 1]: Unsupported pooling size.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/export.py" <<'PY'
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
from jax2onnx import to_onnx


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


model = to_onnx(pool, inputs=[(2, 4, 4, 3)])
(node,) = (node for node in model.graph.node if node.op_type == "MaxPool")
(kernel,) = (list(attribute.ints) for attribute in node.attribute if attribute.name == "kernel_shape")
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
try:
    session.run(None, {session.get_inputs()[0].name: np.zeros((2, 4, 4, 3), np.float32)})
    said = "it runs"
except Exception as error:
    said = str(error).rpartition("Status Message: ")[2].strip()
print(f"{node.op_type}, kernel_shape {kernel}: {said}")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jax2onnx==0.17.1' 'onnx==1.23.2' 'onnxruntime==1.32.0'
cd "$work"
env/bin/python export.py 2> errors > seen || { cat errors; exit 1; }

cat seen
diff seen - <<'EXPECTED'
MaxPool, kernel_shape [1, 2, 2, 1]: Unsupported pooling size.
EXPECTED
