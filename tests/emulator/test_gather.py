"""Batches gathered on the GPU, from samples that it keeps: those of the host, bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nitic.codegen.cuda.text import prologue
from nitic.codegen.output.cuda.gather import gather_launch, gather_text
from tests.emulator.binaries import (
    SAMPLES,
    SETTINGS,
    TEST,
    compile_mutant,
    compiled,
    is_wrong,
    memory_for,
    run,
    succeed,
    training,
)
from tests.emulator.emulator import ORDERS, Emulated, needs_compiler
from tests.runtime.helpers import write_npy

pytestmark = needs_compiler
GATHERING_FAILS = {"NITIC_FAKE_FAILURE": "nitic_gather"}
OF_COLOURED = pytest.mark.xdist_group("emulated-coloured-niti")
CASES = [
    *(pytest.param("coloured", augment, marks=OF_COLOURED) for augment in ("none", "flip", "crop:2,flip")),
    pytest.param("vectors", "none"),
]
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (2, 7, 9, 1), (4, 37)])
def test_a_batch_is_what_it_picks(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Shifted as far as no part of the sample remains, too."""
    kernels = Emulated(prologue("gather") + gather_text(shape), tmp_path)
    height, width, channels = shape[1:] if len(shape) == 4 else (1, shape[1], 1)
    kept = RANDOM.integers(0, 256, (11, height, width, channels), np.uint8)
    pad = RANDOM.integers(0, 256, channels, np.uint8)
    around = np.broadcast_to(pad, (11, 3 * height, 3 * width, channels)).copy()
    around[:, height : 2 * height, width : 2 * width] = kept
    for order in ORDERS:
        picks = RANDOM.integers((0, -height, -width, 0), (11, height + 1, width + 1, 2), (shape[0], 4), np.int32)
        batch = np.zeros(shape, np.uint8)
        kernels.launch(gather_launch(shape), [each.ctypes.data for each in (batch, kept, pad, picks)], order)
        for row, (sample, y, x, mirrored) in zip(batch, picks, strict=True):
            box = around[sample, height + y : 2 * height + y, width + x : 2 * width + x]
            np.testing.assert_array_equal(row, (box[:, ::-1] if mirrored else box).reshape(shape[1:]))


@pytest.mark.parametrize(("name", "augment"), CASES)
@pytest.mark.parametrize("count", [0, TEST, SAMPLES])
def test_data_sets_are_kept_where_they_fit(name: str, augment: str, count: int, tmp_path: Path) -> None:
    """Neither, the test set, or the training set alone."""
    pair = compiled(name, "niti")
    told = succeed(pair.cpu, *training(pair, tmp_path / "cpu", "--augment", augment))
    command, memory = training(pair, tmp_path / "gpu", "--augment", augment), memory_for(pair, count)
    for settings in SETTINGS:
        assert succeed(pair.gpu, *command, **memory, **settings) == told
        assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()
    failing = run(pair.gpu, *training(pair, tmp_path / "failing"), **memory, **GATHERING_FAILS)
    assert failing.returncode == (1 if count else 0)
    assert (tmp_path / "failing").exists() == (count != SAMPLES)  # saved before the first evaluation


@OF_COLOURED
def test_a_run_goes_on_where_data_do_not_fit(tmp_path: Path) -> None:
    pair = compiled("coloured", "niti")
    broken = training(pair, tmp_path / "gpu", "--augment", "crop:1", "--epochs")
    succeed(pair.gpu, *broken, "1", **memory_for(pair, SAMPLES))
    succeed(pair.gpu, *broken, "2", "--resume", tmp_path / "gpu", **memory_for(pair, 0))
    succeed(pair.cpu, *training(pair, tmp_path / "cpu", "--augment", "crop:1"))
    assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()


@OF_COLOURED
@pytest.mark.parametrize("augment", ["crop:1,flip", "resized-crop,flip"])
def test_what_is_kept_is_what_the_program_takes(augment: str, tmp_path: Path) -> None:
    """Of int8 samples with their channels first. Boxes of several sizes are made on the host."""
    pair = replace(compiled("coloured", "niti"), data=tmp_path)
    for split, count in (("train", SAMPLES), ("test", TEST)):
        x = RANDOM.integers(-128, 128, (count, 2, 8, 4), np.int8)
        write_npy(tmp_path, split, x, RANDOM.integers(0, 10, count))
    told = [succeed(each, *training(pair, tmp_path / each.name, "--augment", augment)) for each in (pair.cpu, pair.gpu)]
    assert told[0] == told[1]
    assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()
    failing = run(pair.gpu, *training(pair, tmp_path / "failing", "--augment", augment), **GATHERING_FAILS)
    assert failing.returncode == 1
    assert (tmp_path / "failing").exists() == ("resized" in augment)


MUTANTS = {
    "samples are gathered before their picks are there": (
        "cuda/device.c",
        "program, d->copying",
        "program, d->computing",
    ),
    "data change while they are copied": ("cuda/store.c", "result = cu->stream_finish(store->stream)", "result = 0"),
    "data are left behind": ("cuda/store.c", "store->handles->driver->release(store->kept[i])", "(void)0"),
}


@OF_COLOURED
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_found(mutant: str, tmp_path: Path) -> None:
    pair = compiled("coloured", "niti")
    assert is_wrong(pair, compile_mutant(pair, *MUTANTS[mutant], tmp_path), tmp_path)
