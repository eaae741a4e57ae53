#!/usr/bin/env bash
# torch's exporters run a module before they write it, and may write what that changed, or what is no valid model.
#
# Versions: torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, onnx-ir 1.1.0, numpy 2.4.6.
# Behaviour:
#   - the older exporter (dynamo=False) in training mode runs the module on the sample: the running statistics of its
#     batch norms move, in the module, and the file gets the moved ones, though the module was in evaluation mode;
#   - the default one with optimize=False calls a result `mean`, where a buffer of the module is called so, too: no tool
#     reads that file. With optimize=True it does not.
# Output seen (2026-12-01, Python 3.11.7):
#   dynamo=False, training: running mean 0.1 in the file, 0.1 in the module, of 0
#   default, optimize=False: invalid
#   default: valid
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/export.py" <<'PY'
import logging
import warnings

import onnx
import torch
from onnx import numpy_helper

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")


class Centred(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.ones(1))

    def forward(self, x):
        return x.mean(1) - self.mean


training = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}
norm = torch.nn.BatchNorm2d(1).eval()
torch.onnx.export(norm, (torch.ones(2, 1, 2, 2),), "model.onnx", dynamo=False, verbose=False, **training)
tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load("model.onnx").graph.initializer}
seen = tensors["running_mean"].item(), norm.running_mean.item()
print("dynamo=False, training: running mean {:.1f} in the file, {:.1f} in the module, of 0".format(*seen))
for name, options in {"default, optimize=False": {"optimize": False}, "default": {}}.items():
    torch.onnx.export(Centred(), (torch.zeros(2, 3),), "model.onnx", dynamo=True, verbose=False, **options)
    try:
        onnx.checker.check_model(onnx.load("model.onnx"))
        print(f"{name}: valid")
    except onnx.checker.ValidationError:
        print(f"{name}: invalid")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.13.0' 'onnx==1.23.2' 'onnxscript==0.7.2' 'onnx-ir==1.1.0' 'numpy==2.4.6'
cd "$work"
env/bin/python export.py 2> errors > seen || { cat errors; exit 1; }

cat seen
diff seen - <<'EXPECTED'
dynamo=False, training: running mean 0.1 in the file, 0.1 in the module, of 0
default, optimize=False: invalid
default: valid
EXPECTED
