#!/usr/bin/env bash
# onnx.reference pads a MaxPool at the wrong ends, where not all pads are the same.
#
# Versions: onnx 1.23.2, numpy 2.4.6.
# Behaviour: `pads` are the begins of all axes, then all ends. The reference takes neighbours for begin and end of an axis.
# Output seen (2026-12-01, Python 3.11.7), of an image of 3x3 and a window of 3x3:
#   pads [1, 1, 1, 1]: (3, 3), right (3, 3)
#   pads [1, 0, 1, 0]: (2, 2), right (3, 1)
#   pads [0, 0, 2, 0]: (1, 3), right (3, 1)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/pool.py" <<'PY'
import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

for pads in ([1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 2, 0]):
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], pads=pads)
    (y,) = ReferenceEvaluator(node).run(None, {"x": np.zeros((1, 1, 3, 3), np.float32)})
    print(f"pads {pads}: {y.shape[2:]}, right {(1 + pads[0] + pads[2], 1 + pads[1] + pads[3])}")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'onnx==1.23.2' 'numpy==2.4.6'
"$work/env/bin/python" "$work/pool.py" > "$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'EXPECTED'
pads [1, 1, 1, 1]: (3, 3), right (3, 3)
pads [1, 0, 1, 0]: (2, 2), right (3, 1)
pads [0, 0, 2, 0]: (1, 3), right (3, 1)
EXPECTED
