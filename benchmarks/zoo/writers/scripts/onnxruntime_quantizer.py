# requirements: onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"""onnxruntime's quantiser, on files of PyTorch's older exporter, and its offline optimiser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
)

from benchmarks.zoo.writers.files import File, Folder, Samples, files

SOURCE, CHOSEN = "torch_exporters", ("mlp", "mnist_cnn", "lenet", "resnet", "mobilenet", "conv1d")


class Reader(CalibrationDataReader):
    """Noise, by which ranges are chosen."""

    def __init__(self, samples: Samples) -> None:
        rng, shape = np.random.default_rng(0), samples.shape
        if samples.channels_first:
            shape = (shape[-1], *shape[:-1])
        batches = [rng.integers(0, 256, (8, *shape)) * samples.scale + samples.offset for _ in range(8)]
        self.batches: Iterator[dict[str, Any]] = iter([{"input": batch.astype(np.float32)} for batch in batches])

    def get_next(self) -> Any:
        return next(self.batches, None)


def static(form: QuantFormat, activations: QuantType, weights: QuantType, **options: Any) -> Any:
    def write(source: str, path: str, samples: Samples) -> None:
        ready = f"{path}.ready"
        quant_pre_process(source, ready)
        kinds: dict[str, Any] = {"activation_type": activations, "weight_type": weights}
        quantize_static(ready, path, Reader(samples), form, reduce_range=True, **kinds, **options)
        Path(ready).unlink()

    return write


def dynamic(source: str, path: str, samples: Samples) -> None:
    del samples
    quantize_dynamic(source, path, weight_type=QuantType.QUInt8)


def optimised(source: str, path: str, samples: Samples) -> None:
    del samples
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = path
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


I8, U8 = QuantType.QInt8, QuantType.QUInt8
FORMS: dict[str, Callable[[str, str, Samples], None]] = {
    "qdq": static(QuantFormat.QDQ, I8, I8),
    "qdq_per_channel": static(QuantFormat.QDQ, U8, I8, per_channel=True),
    "qoperator": static(QuantFormat.QOperator, U8, U8),
    "dynamic": dynamic,
    "optimised": optimised,
}


def main() -> None:
    folder = Folder("onnxruntime_quantizer")
    chosen: list[File] = [
        file for file in files(folder.root, SOURCE) if file.network in CHOSEN and file.form == "legacy_folded"
    ]
    for file in chosen:
        for form, write in FORMS.items():
            source = str(file.path(folder.root))
            folder.write(
                lambda path, write=write, source=source, file=file: write(source, path, file.samples),
                file.network,
                form,
                file.samples,
                file.head,
                quantised=form != "optimised",
            )


if __name__ == "__main__":
    main()
