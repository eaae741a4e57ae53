"""Writes the network of `nitic demo`: python models/digits_cnn.py digits_cnn.onnx"""

import sys
from pathlib import Path

from nitic.frontend.demo import digits_cnn

if __name__ == "__main__":
    digits_cnn().save(Path(sys.argv[1]))
