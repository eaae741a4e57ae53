"""`nitic demo`: from a small CNN as ONNX to a trained and evaluated program, on real handwriting."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nitic.driver.compile import compile_model
from nitic.driver.launch import run as run_binary
from nitic.driver.launch import run_for_result
from nitic.errors import CompileError, ExitCode
from nitic.frontend.demo import digits_cnn
from nitic.options import CompileOptions

BATCH = 32
EPOCHS = 20
TRAINING_SAMPLES = 1437
# A network this small is not worth a second thread.
TRAIN_OPTIONS = [
    "--threads",
    "1",
    "--epochs",
    str(EPOCHS),
    "--lr",
    "2^-6",
    "--momentum",
    "0.9",
    "--schedule",
    "step:12,16:0.5",
]
# Every seed tried comes to it, and a seed comes to the same bits on every machine: below it, something is broken.
LEAST_ACCURACY = 97.0


def run(folder: Path, seed: int) -> int:
    """The whole way, in `folder`. Returns the exit code: that of the first step that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    model, binary, dumps = folder / "digits_cnn.onnx", folder / "digits_cnn", folder / "ir"
    data, checkpoint, log = folder / "data", folder / "digits_cnn.ckpt", folder / "run.jsonl"

    say(f"1  write {model} and the digits of scikit-learn in {data}")
    digits_cnn(seed).save(model)
    write_digits(data)

    say(f"2  compile it to {binary}")
    compile_model(CompileOptions(model=model, output=binary, batch_size=BATCH, seed=seed, dump_ir=dumps))

    say(f"3  train it for {EPOCHS} epochs, with integers alone")
    for path in (checkpoint, log):
        path.unlink(missing_ok=True)
    source = ["--data", str(data)]
    training = ["train", *source, *TRAIN_OPTIONS, "--seed", str(seed), "--save", str(checkpoint), "--log", str(log)]
    code = run_binary(binary, training)
    if code:
        return code

    say("4  evaluate the checkpoint on the 360 digits it has not seen")
    code, result = run_for_result(binary, ["eval", *source, "--load", str(checkpoint)])
    if code:
        return code
    accuracy = read_accuracy(result)

    print(f"\ntest accuracy  {accuracy:.2f} %")
    print(f"binary         {binary}      try: {binary} info")
    print(f"IR dumps       {dumps}/      one file per stage")
    if accuracy < LEAST_ACCURACY:
        message = f"test accuracy {accuracy:.2f} % is below the {LEAST_ACCURACY:.0f} % that the demo must reach"
        raise CompileError(str(binary), message, exit_code=ExitCode.RUN_TIME)
    return ExitCode.OK


def say(text: str) -> None:
    """Progress goes to the standard error, as that of the binary does; results to the standard output."""
    print(text, file=sys.stderr, flush=True)


def write_digits(folder: Path) -> None:
    """x_train.npy and x_test.npy, uint8 [n, 8, 8, 1] in 0..255, y_train.npy and y_test.npy; always the same split."""
    digits = handwriting()
    images, labels = scale(digits.images.astype(np.int64)), digits.target.astype(np.uint8)
    order = np.random.RandomState(0).permutation(len(labels))  # the legacy generator: its stream is frozen
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", order[:TRAINING_SAMPLES]), ("test", order[TRAINING_SAMPLES:])):
        np.save(folder / f"x_{split}.npy", images[rows])
        np.save(folder / f"y_{split}.npy", labels[rows])


def handwriting() -> Any:
    """The 1,797 digits that scikit-learn ships: `images` in 0..16 and `target`."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        note = "pip install 'nitic[demo]'"
        raise CompileError("", "the demo needs scikit-learn for its data", note, ExitCode.RUN_TIME) from error
    return load_digits()


def scale(images: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """0..16 to 0..255, rounded to the nearest, with the channel as last axis."""
    return ((images * 255 + 8) // 16).astype(np.uint8)[..., None]


def read_accuracy(result: str) -> float:
    """Percent, from the line that `eval` writes: samples 360 loss 0.0512 accuracy 98.61 %."""
    match = re.search(r"accuracy ([0-9.]+) %", result)
    if not match:
        raise CompileError("eval", f"no accuracy in its result {result!r}", exit_code=ExitCode.RUN_TIME)
    return float(match[1])
