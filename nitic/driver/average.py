"""`nitic average`: checkpoints of one program as one, for rounds of federated training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nitic.arithmetic.averages import average
from nitic.arithmetic.integers import Array
from nitic.checkpoint import Checkpoint, checkpoint_bytes, read_checkpoint
from nitic.codegen.output import link
from nitic.delta import read_with_base
from nitic.driver.outputs import check_output
from nitic.errors import CompileError, ExitCode

UNLIKE = ("checksum", "compiler")  # words that may differ


def average_checkpoints(paths: Sequence[Path], output: Path, base: Path | None = None) -> Path:
    """Writes the mean of some checkpoints as a checkpoint; gives its path. Raises CompileError.

    Some of them, or all, may be deltas of a base; of a single one the mean is the checkpoint that it was made of.
    Parameters, velocities, moments and running statistics are averaged, each rounded once (docs/numerics.md). Of
    statistics of activations, and of numbers in the description, the largest is taken; everything else must be the
    same in all.
    """
    for path in (*paths, *([base] if base else ())):
        check_output(output, path)
    start = read_checkpoint(base) if base else None
    checkpoints = [read_with_base(path, start) for path in paths]
    first = checkpoints[0]
    for other in checkpoints[1:]:
        check_alike(first, other)
    description = {key: max(each.description[key] for each in checkpoints) for key in first.description}
    state = {name: combined(name, [each.state for each in checkpoints]) for name in first.state}
    return link.write(checkpoint_bytes(description, state), output)


def combined(name: str, states: Sequence[Mapping[str, Array]]) -> Array:
    """The mean of a tensor, or the largest where it is an exponent or a statistic of activations."""
    values = [state[name] for state in states]
    if name.endswith((".exponent", ".top")) or name.startswith("input."):
        return np.asarray(np.max(values, axis=0))
    exponent = f"{name.removesuffix('.velocity')}.exponent"
    return average(values, [int(state.get(exponent, 0)) for state in states])


def check_alike(first: Checkpoint, other: Checkpoint) -> None:
    """Raises CompileError where they are of two programs, were trained in two ways, or saw inputs at two scales."""
    for key, value in first.description.items():
        if key not in other.description or (
            isinstance(value, str) and key not in UNLIKE and other.description[key] != value
        ):
            raise unlike(first, other, key, value, other.description.get(key))
    if first.state.keys() != other.state.keys():
        raise unlike(first, other, "tensors", sorted(first.state), sorted(other.state))
    for name, value in first.state.items():
        found = other.state[name]
        if found.shape != value.shape:
            raise unlike(first, other, f"shape of '{name}'", list(value.shape), list(found.shape))
        if name.startswith("input.") and not np.array_equal(found, value):
            raise unlike(first, other, name, value.tolist(), found.tolist())


def unlike(first: Checkpoint, other: Checkpoint, what: str, here: object, there: object) -> CompileError:
    message = f"averaged checkpoints are of one program, trained in one way: {what} is {there}, in {first.path} {here}"
    note = "for inputs at one scale, compile with --mean and --std" if what.startswith("input.") else ""
    return CompileError(str(other.path), message, note, ExitCode.DATA_MISMATCH)
