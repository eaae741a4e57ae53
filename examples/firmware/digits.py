"""Writes scikit-learn's handwritten digits as C: python digits.py digits.h [SAMPLES]"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

SAMPLES = 640


def header(samples: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> str:
    """Samples and labels as constant arrays, which lie in flash."""
    rows = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in samples.reshape(len(samples), -1).tolist())
    numbers = ",".join(map(str, labels.tolist()))
    return (
        f"#include <stdint.h>\nenum {{ SAMPLES = {len(samples)} }};\n"
        f"static const uint8_t samples[SAMPLES][{samples[0].size}] = {{\n{rows}}};\n"
        f"static const uint8_t labels[SAMPLES] = {{{numbers}}};\n"
    )


if __name__ == "__main__":
    data: Any = load_digits()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else SAMPLES
    images = (data.images[:count].astype(np.int64) * 255 // 16).astype(np.uint8)
    Path(sys.argv[1]).write_text(header(images, data.target[:count]))
