"""What nitic makes of one file: its floats beside onnxruntime's, training, and the exports of what was trained."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import onnx
import onnxruntime
from scipy.special import softmax

import nitic
from benchmarks.zoo.writers.files import File, Samples
from nitic.arithmetic.integers import Array
from nitic.driver.build import import_model
from nitic.errors import CompileError
from nitic.export.float import for_inference
from nitic.frontend.importer import survey
from nitic.interpret import run_function
from nitic.ir.function import argument, function
from nitic.ir.types import Shape, shape_of
from nitic.options import CompileOptions

OPERATORS = Path(__file__).parents[3] / "docs" / "operators.md"
TARGET = "x86-64-portable"  # the bits are those of any other
COUNT, BATCH, STEPS, RATE_SHIFT = 256, 16, 96, 6
SQUARED_RATE_SHIFT = 12
"""Of squared errors, whose labels go up to 9."""
CLASSES = 10
TRAINED = 64
"""The samples that are trained; agreement is measured on all COUNT."""
TOLERANCE, QUANTISED_TOLERANCE = 1e-4, 0.25
"""The largest relative error of floats, and of files whose roundings of activations are left out."""
REFUSED = "[ONNXRuntimeError]"
"""What each error of onnxruntime begins with."""
Record = dict[str, Any]


class Unrun(Exception):
    """What onnxruntime says of a file that it does not run."""


class Task:
    """Samples that can be learnt: a coarse pattern for each class, under noise."""

    def __init__(self, samples: Samples, classes: int) -> None:
        self.samples = samples
        rng, shape = np.random.default_rng(0), samples.shape
        coarse = [-(-length // 4) for length in shape[:-1]]
        patterns = rng.integers(64, 192, (classes, *coarse, shape[-1]))
        for axis in range(1, patterns.ndim - 1):
            patterns = patterns.repeat(4, axis)
        patterns = patterns[(slice(None), *(slice(length) for length in shape[:-1]))]
        self.labels = np.arange(COUNT) % classes
        self.bytes = (patterns[self.labels] + rng.integers(-64, 64, (COUNT, *shape))).astype(np.uint8)

    def as_in_file(self, dtype: Any = None) -> Array:
        """What the file takes."""
        x = self.bytes * np.float64(self.samples.scale) + self.samples.offset
        return self.in_order(x).astype(dtype or self.samples.element)

    def in_order(self, x: Array) -> Array:
        """The axes as the file has them."""
        return np.moveaxis(x, -1, 1) if self.samples.channels_first and x.ndim > 2 else x

    def as_in_program(self, shape: Shape, x: Array) -> Array:
        """Values with the channels last as the program's input takes them. Raises AssertionError where it cannot be."""
        if len(shape) == 2:
            return self.in_order(x).reshape(len(x), -1)
        images = x[:, None] if x.ndim == 3 else x
        assert images.shape[1:] == shape[1:], f"the program takes samples of {shape[1:]}, which are {images.shape[1:]}"
        return images


class Measured:
    """A file, and what is done with it."""

    def __init__(self, file: File, folder: Path) -> None:
        self.file, self.path = file, file.path(folder)
        output = {"output_name": file.output} if file.output else {}
        self.options: dict[str, Any] = {**file.options, **output}

    @cached_property
    def declared(self) -> int:
        """The batch that the file fixes; 0 where it is open."""
        source = _input(onnx.load(self.path, load_external_data=False))
        return max(0, source.type.tensor_type.shape.dim[0].dim_value)

    def reference(self, path: Path, x: Array, name: str | None = None) -> Array:
        """What onnxruntime says, batch by batch where the file fixes it; norms and dropouts as for inference."""
        model = onnx.load(path)
        for_inference(model.graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        if self.file.quantised:  # sums of two products saturate on some processors where it optimises
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        names, source, size = [name] if name else None, _input(model).name, self.declared or len(x)
        rows, data, providers = (
            range(0, len(x) // size * size, size),
            model.SerializeToString(),
            ["CPUExecutionProvider"],
        )
        try:
            session = onnxruntime.InferenceSession(data, options, providers=providers)
            parts = [session.run(names, {source: x[i : i + size]})[0] for i in rows]
        except Exception as error:
            if not str(error).startswith(REFUSED):
                raise
            raise Unrun(str(error).rpartition(": ")[2]) from error
        found = np.concatenate([_array(part) for part in parts])
        return found.reshape(len(found), -1)

    # Stages

    def floats(self) -> Record:
        """The largest difference of the classes' values, by the largest of them."""
        listed = set(re.findall(r"\w+", OPERATORS.read_text()))
        operators = {name.rpartition("::")[2] for name in survey(self.path).operators}
        record: Record = {"listed": operators <= listed}
        try:
            model = import_model(CompileOptions(self.path, batch_size=self.declared or COUNT, **self.options))
        except CompileError as error:
            return {**record, "problem": _sentence(error)}
        record["notes"] = list(model.notes)
        predict = function(model.module, "predict")
        task = Task(self.file.samples, CLASSES)
        try:
            reference = self.reference(self.path, task.as_in_file(), self.file.output)
        except Unrun as error:
            return {**record, "unrun": str(error)}
        expected = _by_class(reference, self.file.head, self.file.head)
        own = model.standardisation
        x = task.as_in_program(shape_of(argument(predict, "input")), task.bytes.astype(np.float64))
        if own:
            x = (x * (own.largest / 255) - np.asarray(own.mean)) / own.std
        else:
            x = x * self.file.samples.scale + self.file.samples.offset
        size = model.batch_size
        rows = range(0, COUNT // size * size, size)
        parts = [run_function(predict, {"input": x[i : i + size].astype(np.float32), **model.parameters}) for i in rows]
        found = np.concatenate([part["logits"] for part in parts])
        found = found.reshape(len(found), -1)
        if found.shape[1] == 1 < expected.shape[1]:  # the probability of the second class
            found = _logarithms(np.concatenate([1 - found, found], 1))
        else:
            found = _by_class(found, "logits", self.file.head)
        assert found.shape == expected.shape, f"{found.shape[1]} classes, not {expected.shape[1]}"
        error = np.abs(found - expected).max() / np.abs(expected).max()
        agreement = np.mean(found.argmax(1) == expected.argmax(1)) if found.shape[1] > 1 else 1.0
        allowed = QUANTISED_TOLERANCE if self.file.quantised else TOLERANCE
        return {**record, "error": float(error), "agreement": float(agreement), "right": bool(error <= allowed)}

    def train(self) -> Record:
        """The mean losses of the first and the last round over the samples, and what exports agree in.

        Where the loss does not fall, at half the rate.
        """
        try:
            compiled = nitic.compile(self.path, batch_size=BATCH, target=TARGET, **self.options)
        except CompileError as error:
            return {"problem": _sentence(error)}
        task = Task(self.file.samples, min(CLASSES, compiled.program.labels))
        codes = task.as_in_program(compiled.program.input_shape, task.bytes)
        is_squared = self.options.get("loss") == "mse"
        shift = SQUARED_RATE_SHIFT if is_squared else RATE_SHIFT
        record: Record = {}
        for halved in (0, 1):
            session = nitic.TrainingSession(compiled, threads=1)
            session.configure(lr=f"2^-{shift + halved}", momentum="0.9", schedule="constant")
            session.set_statistics(codes[:TRAINED])
            session.begin_epoch(0)
            losses = list[float]()
            for step in range(STEPS):
                rows = np.arange(BATCH) + step * BATCH % TRAINED
                metrics = session.train_step(codes[rows], task.labels[rows])
                losses.append(metrics.squared_error if is_squared else metrics.nats)
            once = TRAINED // BATCH
            first, last = fmean(losses[:once]), fmean(losses[-once:])
            record = {"first_loss": first, "last_loss": last, "halved": halved, **self.exports(session, task, codes)}
            if last < first:
                break
        return record

    def exports(self, session: nitic.TrainingSession, task: Task, codes: Array) -> Record:
        """`integer`: how many logits differ from those of predict. `qdq`, `float`: how often the class is the same."""
        predicted = np.concatenate([session.predict(codes[i : i + BATCH])[0] for i in range(0, COUNT, BATCH)])
        forms: dict[str, Callable[[Path], float]] = {
            "integer": lambda path: int(np.count_nonzero(run(path, codes, BATCH) != predicted)),
            "qdq": lambda path: self.agreement(path, task, predicted),
            "float": lambda path: self.agreement(path, task, predicted),
        }
        record: Record = {}
        with tempfile.TemporaryDirectory() as folder:
            for form, compare in forms.items():
                path = Path(folder) / f"{form}.onnx"
                try:
                    session.export_model(path, form)
                    record[form] = compare(path)
                except (CompileError, Unrun) as error:
                    record[f"{form}_problem"] = _sentence(error)
        return record

    def agreement(self, path: Path, task: Task, predicted: Array) -> float:
        """How often the class of an exported file is that of the program; of one number, its side."""
        values = self.reference(path, self.standardised(path, task), self.file.output)
        rows = len(values)
        if values.shape[1] > 1:
            return float(np.mean(values.argmax(1) == predicted[:rows].argmax(1)))
        middle = 0.5 if self.file.head == "sigmoid" else 0
        return float(np.mean((values[:, 0] > middle) == (predicted[:rows, -1] > 0)))

    def standardised(self, path: Path, task: Task) -> Array:
        """The samples as an exported file of floats takes them, whose metadata say how."""
        model = onnx.load(path, load_external_data=False)
        said = {each.key: each.value for each in model.metadata_props}
        if "nitic.input.mean" not in said:
            return task.as_in_file()
        mean, std = (np.asarray(said[f"nitic.input.{key}"].split(","), np.float64) for key in ("mean", "std"))
        flat = len(mean) not in (1, task.samples.shape[-1])
        assert not flat, f"{len(mean)} means"
        return task.in_order((task.bytes / 255 - mean) / std).astype(np.float32)


def run(path: Path, x: Array, batch: int) -> Array:
    """What a file of integers says, batch by batch."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts: Iterator[Sequence[Any]] = (session.run(None, {name: x[i : i + batch]}) for i in range(0, len(x), batch))
    return np.concatenate([np.asarray(part[0]) for part in parts])


def _by_class(values: Array, head: str, wanted: str) -> Array:
    """Logits less their mean; the logarithms of probabilities where the file gives these; one number as it is."""
    values = values.astype(np.float64)
    if values.shape[1] == 1:
        return values
    if wanted == "softmax":
        return _logarithms(values if head == "softmax" else softmax(values, 1))
    return values - values.mean(1, keepdims=True)


def _logarithms(probabilities: Array) -> Array:
    """Of small ones no more than float32 tells from 0 beside 1."""
    return np.log(np.maximum(probabilities, 1e-4))


def _array(output: Any) -> Array:
    """An output, which for scikit-learn's models may be a dictionary by class for each sample."""
    return np.asarray([[*each.values()] for each in output] if isinstance(output, list) else output)


def _input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The first input that is no initializer."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return next(each for each in model.graph.input if each.name not in constants)


def _sentence(error: Exception) -> str:
    """Without the line of a script that a node comes from."""
    return " ".join(str(error).split()).partition(" note: from ")[0]


STAGES: dict[str, Callable[[Measured], Record]] = {"float": Measured.floats, "train": Measured.train}


def run_stage(stage: str, file: File, folder: Path) -> Record:
    """What a stage found, or the fault that ended it."""
    try:
        return STAGES[stage](Measured(file, folder))
    except Exception as error:  # noqa: BLE001 - a fault of one file is a line of the table
        return {"fault": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
