"""Augmentation: C and NumPy agree, and are what docs/data.md says; runs with it resume to the same bits."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nitic import abi
from nitic.data import Augment, Box, Image, augment, centre_box, draw_box, pad_value, resample, shuffle
from tests.runtime.helpers import Session, fail, read_checkpoint, run, succeed, write_npy
from tests.runtime.toolchain import Toolchain

PAD = np.array([7, 100, 250], np.uint8)
WORDS = {
    "flip": Augment(flip=True),
    "crop": Augment(crop=4),
    "crop:2,flip": Augment(crop=2, flip=True),
    "resized-crop": Augment(resized_crop=True),
    "flip,resized-crop": Augment(flip=True, resized_crop=True),
}


class CAugment(ctypes.Structure):
    _fields_ = (
        ("crop", ctypes.c_bool),
        ("flip", ctypes.c_bool),
        ("resized_crop", ctypes.c_bool),
        ("pad", ctypes.c_int32),
    )


class CSize(ctypes.Structure):
    _fields_ = (("height", ctypes.c_int32), ("width", ctypes.c_int32))


class CImage(ctypes.Structure):
    _fields_ = (
        ("at", ctypes.c_void_p),
        *((stride, ctypes.c_ssize_t) for stride in ("row", "column", "channel")),
        ("size", CSize),
        ("channels", ctypes.c_int32),
        ("flip", ctypes.c_uint8),
    )


class CBox(ctypes.Structure):
    _fields_ = (("y", ctypes.c_int32), ("x", ctypes.c_int32), ("size", CSize), ("mirrored", ctypes.c_bool))


class CDraw(ctypes.Structure):
    _fields_ = (
        ("augment", CAugment),
        ("seed", ctypes.c_uint64),
        ("epoch", ctypes.c_int64),
        ("pad", ctypes.c_void_p),
    )


@pytest.fixture(scope="module")
def library(toolchain: Toolchain) -> ctypes.CDLL:
    c = ctypes.CDLL(str(toolchain.library()))
    c.nitic_box_draw.restype = c.nitic_box_centre.restype = CBox
    return c


def box_of(c: CBox) -> Box:
    return Box(c.y, c.x, c.size.height, c.size.width, c.mirrored)


def c_resample(library: ctypes.CDLL, image: Image, box: Box, size: tuple[int, int], flip: int = 0) -> Image:
    """Of an image with strides of any kind."""
    out = np.zeros((*size, image.shape[2]), np.uint8)
    source = CImage(image.ctypes.data, *image.strides, CSize(*image.shape[:2]), image.shape[2], flip)
    c_box = CBox(box.y, box.x, CSize(box.height, box.width), box.mirrored)
    library.nitic_resample(
        ctypes.byref(source), ctypes.byref(c_box), ctypes.c_void_p(PAD.ctypes.data), CSize(*size), out.ctypes
    )
    return out


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**63 - 1)


@given(
    stored=sizes,
    size=sizes,
    how=st.sampled_from(list(WORDS)),
    seed=seeds,
    epoch=st.integers(0, 1000),
    index=st.integers(0, 2**40),
)
def test_boxes(
    library: ctypes.CDLL, stored: tuple[int, int], size: tuple[int, int], how: str, seed: int, epoch: int, index: int
) -> None:
    expected = draw_box(stored, size, WORDS[how], seed=seed, epoch=epoch, index=index)
    parsed = CAugment()
    assert ctypes.c_bool(library.nitic_augment_parse(ctypes.byref(parsed), how.encode())).value
    draw = CDraw(parsed, seed, epoch, None)
    if WORDS[how].crop:
        size = stored  # crop asks for it
    drawn = box_of(library.nitic_box_draw(ctypes.byref(draw), CSize(*stored), CSize(*size), ctypes.c_int64(index)))
    assert drawn == expected
    assert box_of(library.nitic_box_centre(CSize(*stored), CSize(*size))) == centre_box(stored, size)


@given(
    data=st.data(),
    stored=sizes,
    size=sizes,
    seed=st.integers(0, 2**32),
    channels=st.integers(1, 3),
    mirrored=st.booleans(),
)
def test_resampling(
    library: ctypes.CDLL,
    data: st.DataObject,
    stored: tuple[int, int],
    size: tuple[int, int],
    seed: int,
    channels: int,
    mirrored: bool,
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*stored, channels), dtype=np.uint8)
    y, x = (data.draw(st.integers(-5, side + 5)) for side in stored)
    box = Box(y, x, *data.draw(sizes | st.just(size)), mirrored)
    expected = resample(image, box, size, PAD[:channels])
    np.testing.assert_array_equal(c_resample(library, image, box, size), expected)
    first = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(c_resample(library, first, box, size), expected)
    np.testing.assert_array_equal(c_resample(library, image ^ np.uint8(128), box, size, flip=128), expected)


def test_a_box_of_the_same_size_is_a_copy() -> None:
    image = np.arange(5 * 4, dtype=np.uint8).reshape(5, 4, 1)
    np.testing.assert_array_equal(resample(image, Box(1, 2, 3, 2), (3, 2), PAD[:1]), image[1:4, 2:4])
    mirrored = resample(image, Box(-1, 0, 5, 4, mirrored=True), (5, 4), PAD[:1])
    np.testing.assert_array_equal(mirrored[1:], image[:4, ::-1])
    assert (mirrored[0] == PAD[0]).all()


def test_resampling_by_hand() -> None:
    """Two pixels to four: a quarter of the way at both sides of the middle, and the edges as they are."""
    image = np.array([[[0], [100]]], np.uint8)
    assert resample(image, Box(0, 0, 1, 2), (1, 4), PAD[:1]).ravel().tolist() == [0, 25, 75, 100]
    assert resample(image, Box(0, 0, 1, 2), (1, 1), PAD[:1]).ravel().tolist() == [50]


def test_evaluation_of_256_for_224_copies_the_centre() -> None:
    assert centre_box((256, 256), (224, 224)) == Box(16, 16, 224, 224)
    assert centre_box((32, 32), (32, 32)) == Box(0, 0, 32, 32)
    assert centre_box((100, 200), (50, 50)) == Box(6, 56, 88, 88)


def test_resized_crops_cover_what_they_should() -> None:
    boxes = [
        draw_box((256, 256), (224, 224), WORDS["flip,resized-crop"], seed=1, epoch=0, index=i) for i in range(4000)
    ]
    areas = np.array([b.height * b.width for b in boxes]) / 256**2
    ratios = np.array([b.width / b.height for b in boxes])
    assert 0.075 < areas.min() < 0.09
    assert areas.max() > 0.95
    assert abs(areas.mean() - 0.54) < 0.03
    assert 0.73 < ratios.min() < 0.77
    assert 1.3 < ratios.max() < 1.37
    assert abs(np.mean(ratios > 1) - 0.5) < 0.03
    assert abs(np.mean([b.mirrored for b in boxes]) - 0.5) < 0.03
    assert all(0 <= b.y <= 256 - b.height and 0 <= b.x <= 256 - b.width for b in boxes)


def test_crops_reach_every_shift() -> None:
    boxes = [draw_box((8, 8), (8, 8), WORDS["crop:2,flip"], seed=1, epoch=e, index=0) for e in range(1000)]
    assert {(b.y, b.x, b.mirrored) for b in boxes} == {
        (y, x, mirrored) for y in range(-2, 3) for x in range(-2, 3) for mirrored in (False, True)
    }


def test_the_pad_is_nearest_to_the_mean() -> None:
    from nitic.arithmetic.inputs import input_map, input_statistics

    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = np.clip(rng.normal(rng.integers(0, 256), rng.integers(1, 90), (500, 1)), 0, 255).astype(np.uint8)
        maps = input_statistics(x)
        every = np.abs(input_map(np.arange(256)[:, None], *maps).ravel())
        assert every[pad_value(*(m.astype(np.int32) for m in maps))[0]] == every.min()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "crop:0",
        "crop:65",
        "crop:",
        "crop:x",
        "turn",
        "flip,",
        "flip,flip",
        "crop,crop",
        "crop,resized-crop",
        "none,flip",
        "crop:99999999999999",
    ],
)
def test_words_that_mean_nothing(toy: Path, data: Path, text: str) -> None:
    sentence = fail(2, toy, "train", "--data", data, "--augment", text)
    assert (
        f"--augment takes none, or crop[:PIXELS] (1 to 64) or resized-crop, and flip, with commas; not '{text}'"
        in sentence
    )


def test_a_vector_cannot_be_augmented(toolchain: Toolchain, tmp_path: Path) -> None:
    write_npy(tmp_path, "train", np.zeros((8, 6), np.uint8), np.zeros(8, np.int64))
    sentence = fail(2, toolchain.toy("flat"), "train", "--data", tmp_path, "--augment", "flip")
    assert "--augment needs a program whose input is an image" in sentence


Samples = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Samples]:
    """23 samples of 32x32x3, channels first."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 200, (23, 3, 32, 32), dtype=np.uint8), rng.integers(0, 3, 23)
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_npy(folder, "train", x, y)
    return folder, (np.ascontiguousarray(x.transpose(0, 2, 3, 1)), y)


def steps_in_numpy(
    session: Session, samples: Samples, how: Augment, epochs: int
) -> Iterator[tuple[Image, NDArray[np.int32]]]:
    """The batches that the binary must have trained on."""
    x, y = samples
    pad = pad_value(*(session.tensor(f"input.{name}", np.int32, 3) for name in ("multiplier", "offset")))
    for epoch in range(epochs):
        order = shuffle(len(x), 1, epoch)
        for first in range(0, len(x) - 3, 4):
            batch = order[first : first + 4]
            images = [augment(x[i], (32, 32), how, pad, seed=1, epoch=epoch, index=int(i)) for i in batch]
            yield np.stack(images), y[batch].astype(np.int32)


@pytest.mark.parametrize("text", WORDS)
def test_the_binary_trains_on_what_numpy_computes(
    toolchain: Toolchain, pictures: tuple[Path, Samples], tmp_path: Path, text: str
) -> None:
    """The toy's weights are a hash of all that it saw."""
    folder, samples = pictures
    succeed(
        toolchain.toy("cifar"), "train", "--data", folder, "--epochs", "2", "--augment", text, "--save", tmp_path / "a"
    )
    session = Session(toolchain.library("cifar"))
    session.set_statistics(samples[0])
    session.progress.seed, session.progress.epochs = 1, 2
    for step, (x, y) in enumerate(steps_in_numpy(session, samples, WORDS[text], 2)):
        if step % 5 == 0:
            session.begin_epoch(step // 5)
        session.call("step", x, y, None)
    description, tensors = read_checkpoint(tmp_path / "a")
    assert description["augment"] == text
    assert description["step"] == 10
    np.testing.assert_array_equal(session.tensor("w", np.int16, 3072), tensors["w"])


def test_resuming_goes_on_with_the_same_augmentation(
    toolchain: Toolchain, pictures: tuple[Path, Samples], tmp_path: Path
) -> None:
    folder, _ = pictures
    toy, whole, part = toolchain.toy("cifar"), tmp_path / "whole", tmp_path / "part"
    train = ["train", "--data", folder, "--schedule", "constant", "--augment", "crop,flip"]
    succeed(toy, *train, "--epochs", "4", "--save", whole, "--threads", "1")
    succeed(toy, *train, "--epochs", "2", "--save", part)
    done = run(toy, *train[:3], "--epochs", "4", "--resume", part, "--save", part, "--threads", "5")
    assert done.returncode == 0, done.stderr
    assert "augmentation crop,flip" in done.stderr
    assert part.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("stop", [1, 5, 7])
def test_resuming_at_any_step_with_augmentation(
    toolchain: Toolchain, pictures: tuple[Path, Samples], tmp_path: Path, stop: int
) -> None:
    folder, samples = pictures
    whole, part, text = tmp_path / "whole", tmp_path / "part", "flip,resized-crop"
    train = ["train", "--data", folder, "--epochs", "2", "--augment", text]
    succeed(toolchain.toy("cifar"), *train, "--save", whole)
    session = Session(toolchain.library("cifar"))
    session.set_statistics(samples[0])
    session.call("configure", "augment", text)
    progress = session.progress
    progress.seed, progress.epochs, progress.samples = 1, 2, 23
    for step, (x, y) in zip(range(stop), steps_in_numpy(session, samples, WORDS[text], 2), strict=False):
        if step % 5 == 0:
            progress.epoch, progress.epoch_step, progress.running = step // 5, 0, abi.Metrics()
            session.begin_epoch(step // 5)
        session.call("step", x, y, None)
    session.call("checkpoint_save", part)
    succeed(toolchain.toy("cifar"), *train[:5], "--resume", part, "--save", part)
    assert part.read_bytes() == whole.read_bytes()


def test_augmentation_can_be_switched_off_when_resuming(
    toolchain: Toolchain, pictures: tuple[Path, Samples], tmp_path: Path
) -> None:
    folder, _ = pictures
    toy, save = toolchain.toy("cifar"), tmp_path / "a"
    succeed(toy, "train", "--data", folder, "--epochs", "1", "--augment", "flip", "--save", save)
    done = run(toy, "train", "--data", folder, "--resume", save, "--augment", "none", "--epochs", "2", "--save", save)
    assert done.returncode == 0
    assert "; augmentation" not in done.stderr
    assert read_checkpoint(save)[0]["augment"] == "none"


@pytest.mark.parametrize("sanitizer", ["memory", "thread"])
def test_the_loader_is_clean(toolchain: Toolchain, pictures: tuple[Path, Samples], sanitizer: str) -> None:
    toy = toolchain.toy("cifar", sanitizer)
    for text in ("resized-crop,flip", "crop:64"):
        succeed(toy, "train", "--data", pictures[0], "--epochs", "3", "--threads", "2", "--augment", text)
