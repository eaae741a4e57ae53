"""On a machine with a GPU: do binaries for it end in the bytes of those for CPUs? python tests/gpu/check.py FOLDER

FOLDER is what build.py made, perhaps on another machine. Nothing but Python is needed here: neither nitic nor CUDA's
tools, though compute-sanitizer is used where it is. Each line is one comparison; the exit code is 1 where one failed.
A program that hangs is ended, and has failed.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LIMIT = 300  # seconds of any one process
SANITIZER = shutil.which("compute-sanitizer")
TRAIN = ("train", "--data", ".", "--epochs", "2")
Done = subprocess.CompletedProcess[str]
FAILURES = (subprocess.CalledProcessError, subprocess.TimeoutExpired)


def ended(command: Sequence[object], folder: Path) -> Done:
    """A process and all that it starts, to the end. Raises TimeoutExpired."""
    words, pipe = [str(word) for word in command], subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            said = process.communicate(timeout=LIMIT)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Done(words, process.returncode, *said)


def run(case: Path, program: str, *arguments: object) -> str:
    """What a binary prints. Raises CalledProcessError, TimeoutExpired."""
    done = ended([case / program, *arguments], case)
    done.check_returncode()
    return done.stdout


def reason(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    """One line: how the program ended, and the last that it said."""
    name = " ".join([Path(error.cmd[0]).name, *error.cmd[1 : 3 if error.cmd[1].startswith("-") else 2]])
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{name} did not end within {error.timeout:g} seconds"
    said = (error.stderr or "").strip().splitlines()
    return ": ".join([f"{name} ended with {error.returncode}", *said[-1:]])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def train(case: Path, program: str, folder: Path, augment: str = "none") -> tuple[str, str]:
    checkpoint = folder / (program if augment == "none" else "augmented")
    return run(case, program, *TRAIN, "--augment", augment, "--save", checkpoint), digest(checkpoint)


def killed_and_resumed(case: Path, folder: Path) -> str:
    checkpoint, begin = folder / "killed", time.monotonic()
    command = [str(case / "gpu"), *TRAIN, "--save", str(checkpoint)]
    with subprocess.Popen([*command, "--save-every", "2"], cwd=case, stderr=subprocess.DEVNULL) as process:
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < begin + LIMIT:
            time.sleep(0.001)
        is_late = not checkpoint.exists() and process.poll() is None
        process.send_signal(signal.SIGKILL)
    if is_late:
        raise subprocess.TimeoutExpired(command, LIMIT)
    run(case, "gpu", *TRAIN, "--save", checkpoint, "--resume", checkpoint)
    return digest(checkpoint)


def inferred(case: Path, program: str, folder: Path) -> tuple[str, str, str]:
    """Of the weights that the CPU has trained."""
    data, logits = ("--data", ".", "--load", folder / "cpu"), folder / f"{program}.npy"
    return run(case, program, "eval", *data), run(case, program, "predict", *data, "--logits", logits), digest(logits)


def sanitized(case: Path, tool: str, data: str = ".") -> bool:
    """Whether compute-sanitizer finds nothing wrong with an epoch on this data."""
    train = ("train", "--data", data, "--epochs", "1")
    done = ended([SANITIZER, "--tool", tool, "--error-exitcode", "9", case / "gpu", *train], case)
    if done.returncode:
        print(done.stdout, done.stderr, sep="", file=sys.stderr)
    return done.returncode == 0


def comparisons(case: Path, folder: Path) -> Iterator[tuple[str, bool]]:
    expected = train(case, "cpu", folder)
    yield "checkpoint", train(case, "gpu", folder) == expected
    for augment in ("crop:2,flip", "resized-crop"):  # batches are made on the GPU, and on the host
        yield augment, train(case, "gpu", folder, augment) == train(case, "cpu", folder, augment)
    yield "killed and resumed", killed_and_resumed(case, folder) == expected[1]
    yield "eval and predict", inferred(case, "gpu", folder) == inferred(case, "cpu", folder)
    for tool in ("memcheck", "racecheck") if SANITIZER else ():
        yield tool, sanitized(case, tool)


def check(case: Path) -> bool:
    results: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for what, is_same in comparisons(case, Path(folder)):
                results.append(is_same)
                print(f"{case.name:24} {what:20} {'ok' if is_same else 'FAILED'}", flush=True)
        except FAILURES as error:
            print(f"{case.name:24} {reason(error)}", flush=True)
            return False
    return all(results)


def main() -> None:
    cases = sorted(path.parent.resolve() for path in Path(sys.argv[1]).glob("*/gpu"))
    results = [check(case) for case in cases]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
