#!/usr/bin/env bash
# What of a PyTorch module is there to train depends on the exporter: batch norms, biases that begin at zero.
#
# Versions: torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, onnx-ir 1.1.0, numpy 2.4.6.
# Behaviour: of one module in evaluation mode (a convolution, a batch norm, two convolutions whose biases are zero)
#   - the default exporter folds the batch norm into the convolution, and leaves out the biases of zeros;
#   - the older exporter (dynamo=False) folds the batch norm, too, keeps one bias of zeros, and gives it to the other
#     convolution through an Identity, since both begin alike;
#   - the older one in training mode without constant folding keeps the batch norm and both biases.
#   None of them says so. A file is right for inference in all three cases; who trains it has other parameters.
# Output seen (2026-12-01, Python 3.11.7):
#   default: 0 BatchNormalization, 0 Identity, biases of Conv: yes no no
#   dynamo=False: 0 BatchNormalization, 1 Identity, biases of Conv: yes yes yes
#   dynamo=False, training: 1 BatchNormalization, 0 Identity, biases of Conv: yes yes yes
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/export.py" <<'PY'
import logging
import warnings
from collections import Counter

import onnx
import torch

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
torch.manual_seed(0)
convolutions = [torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 8, 3)]
for layer in convolutions[1:]:
    torch.nn.init.zeros_(layer.bias)
module = torch.nn.Sequential(convolutions[0], torch.nn.BatchNorm2d(8), *convolutions[1:]).eval()
training = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}
for name, options in {
    "default": {},
    "dynamo=False": {"dynamo": False},
    "dynamo=False, training": {"dynamo": False, **training},
}.items():
    torch.onnx.export(module, (torch.zeros(2, 3, 8, 8),), "model.onnx", verbose=False, **options)
    nodes = onnx.load("model.onnx").graph.node
    count = Counter(node.op_type for node in nodes)
    biases = " ".join("yes" if len(node.input) > 2 else "no" for node in nodes if node.op_type == "Conv")
    norms, merged = count["BatchNormalization"], count["Identity"]
    print(f"{name}: {norms} BatchNormalization, {merged} Identity, biases of Conv: {biases}")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.13.0' 'onnx==1.23.2' 'onnxscript==0.7.2' 'onnx-ir==1.1.0' 'numpy==2.4.6'
cd "$work"
env/bin/python export.py 2> errors > seen || { cat errors; exit 1; }

cat seen
diff seen - <<'EXPECTED'
default: 0 BatchNormalization, 0 Identity, biases of Conv: yes no no
dynamo=False: 0 BatchNormalization, 1 Identity, biases of Conv: yes yes yes
dynamo=False, training: 1 BatchNormalization, 0 Identity, biases of Conv: yes yes yes
EXPECTED
