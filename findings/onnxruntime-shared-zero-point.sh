#!/usr/bin/env bash
# onnxruntime does not load a network whose int8 weights share one zero point, where it is to compute them exactly.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: with session.x64quantprecision=1, which x86 processors without VNNI need for exact sums of int8 products, the
#   optimiser makes int8 weights uint8. For each Gemm it adds an unsigned copy of the zero point under a name that it makes
#   of the old one, without asking whether that is there. Weights with zero points of their own load.
# Output seen (2026-12-01, Python 3.11.7):
#   own zero points: loads
#   one zero point: Attempt to replace the existing tensor
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/load.py" <<'PY'
import re

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper


def load(zeros):
    arrays = {"w1": np.full((2, 2), 100, np.int8), "w2": np.full((2, 2), 100, np.int8), "scale": np.float32(0.5)}
    arrays |= {zero: np.int8(0) for zero in ("zero", *zeros)}
    nodes, value = [], "x"
    for i, zero in enumerate(zeros, start=1):
        nodes += [
            helper.make_node("QuantizeLinear", [value, "scale", "zero"], [f"q{i}"]),
            helper.make_node("DequantizeLinear", [f"q{i}", "scale", "zero"], [f"d{i}"]),
            helper.make_node("DequantizeLinear", [f"w{i}", "scale", zero], [f"weight{i}"]),
            helper.make_node("Gemm", [f"d{i}", f"weight{i}"], [f"y{i}"]),
        ]
        value = f"y{i}"
    nodes.append(helper.make_node("QuantizeLinear", [value, "scale", "zero"], ["q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]))
    ends = [helper.make_tensor_value_info(name, 1, [2, 2]) for name in "xy"]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "two layers", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options)
    except Exception as error:
        return re.search("Attempt to replace the existing tensor", str(error))[0]
    return "loads"


print("own zero points:", load(["zero1", "zero2"]))
print("one zero point:", load(["zero", "zero"]))
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.4.6'
"$work/env/bin/python" "$work/load.py" > "$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'EXPECTED'
own zero points: loads
one zero point: Attempt to replace the existing tensor
EXPECTED
