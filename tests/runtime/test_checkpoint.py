"""Checkpoints: what is in them, that saving is all or nothing, and that no file crashes the reader."""

import json
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.helpers import RuntimeFailure, Session, fail, read_checkpoint, run, succeed
from tests.runtime.toolchain import Toolchain


@pytest.fixture
def checkpoint(toy: Path, data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "toy.ckpt"
    succeed(toy, "train", "--data", data, "--epochs", "2", "--seed", "7", "--save", path)
    return path


def test_content(checkpoint: Path) -> None:
    about, tensors = read_checkpoint(checkpoint)
    assert list(about) == sorted(about)
    assert list(header_of(checkpoint)["__metadata__"]) == ["nitic"]
    assert (
        about
        | {
            "model": "toy.onnx",
            "recipe": "niti16",
            "identity": "00112233445566778899aabbccddeeff",
            "batch": 4,
            "seed": 7,
            "epoch": 2,
            "epoch_step": 0,
            "step": 20,
            "samples": 42,
            "schedule": "cosine",
        }
        == about
    )
    statistics = ["input.exponent", "input.multiplier", "input.offset", "y.top"]
    assert sorted(tensors) == sorted([*statistics, "w", "w.exponent", "w.velocity"])
    assert (tensors["w"].dtype, tensors["w"].shape) == (np.dtype("<i2"), (6,))
    assert tensors["w.exponent"] == -12


def test_equal_runs_write_equal_files(toy: Path, data: Path, tmp_path: Path, checkpoint: Path) -> None:
    succeed(toy, "train", "--data", data, "--epochs", "2", "--seed", "7", "--save", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == checkpoint.read_bytes()
    assert [p.name for p in tmp_path.glob("*.tmp")] == []


def test_session_round_trip(session: Callable[..., Session], tmp_path: Path) -> None:
    """Progress and options come back too, at any step."""
    x, y = np.arange(24, dtype=np.uint8).reshape(4, 6), np.array([0, 1, 2, 0], np.int32)
    first, second = session(), session()
    first.set_statistics(x)
    first.call("configure", "lr", "0.25")
    first.progress.epochs = 3
    first.begin_epoch(0)
    for _ in range(5):
        first.call("step", x, y, None)
    first.call("checkpoint_save", tmp_path / "a")
    second.call("checkpoint_load", tmp_path / "a")
    assert second.progress.step == 5
    assert (second.hyper("rate_m"), second.hyper("rate_k")) == (1, 2)
    for s in (first, second):
        s.call("step", x, y, None)
    np.testing.assert_array_equal(first.tensor("w", np.int16, 6), second.tensor("w", np.int16, 6))
    first.call("checkpoint_save", tmp_path / "b")
    second.call("checkpoint_save", tmp_path / "c")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


# ---- saving


def test_full_disk_leaves_the_old_checkpoint(toy: Path, data: Path, checkpoint: Path, tmp_path: Path) -> None:
    before = checkpoint.read_bytes()
    options = ["train", "--data", data, "--resume", checkpoint, "--epochs", "3", "--save", checkpoint]
    sentence = fail(1, toy, *options, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
    assert "cannot save: File too large; what was there before is untouched" in sentence
    assert checkpoint.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "toy.ckpt"]


def test_an_unwritable_path_is_found_before_training(toy: Path, data: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "such" / "folder", tmp_path, Path("/dev/full"), Path()):
        done = run(toy, "train", "--data", data, "--save", path)
        assert done.returncode == 1
        assert "cannot save here" in done.stderr
        assert "epoch" not in done.stdout + done.stderr
    assert Path("/dev/full").is_char_device()


def test_saving_through_the_interface_to_an_unwritable_path(session: Callable[..., Session], tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="No such file or directory") as failure:
        session().call("checkpoint_save", tmp_path / "no" / "a")
    assert failure.value.code == 1


@pytest.mark.parametrize("content", [b"data", b"\x7fELF" + bytes(100), b"\2\0\0\0\0\0\0\0{}", b"\xff" * 100])
def test_what_is_no_checkpoint_is_not_replaced(toy: Path, data: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "precious").write_bytes(content)
    done = run(toy, "train", "--data", data, "--save", tmp_path / "precious")
    assert done.returncode == 1
    assert "the file is no checkpoint of nitic, so it is not replaced" in done.stderr
    assert "epoch" not in done.stdout
    assert (tmp_path / "precious").read_bytes() == content


def test_an_empty_file_or_a_checkpoint_is_replaced(toy: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for epochs in ("1", "2"):
        succeed(toy, "train", "--data", data, "--epochs", epochs, "--save", tmp_path / "a")
        assert read_checkpoint(tmp_path / "a")[0]["epoch"] == int(epochs)


# ---- loading


def test_no_inverted_byte_of_the_data_is_accepted(session: Callable[..., Session], checkpoint: Path) -> None:
    good = checkpoint.read_bytes()
    for at in range(8 + int.from_bytes(good[:8], "little"), len(good)):
        checkpoint.write_bytes(good[:at] + bytes([~good[at] & 255]) + good[at + 1 :])
        with pytest.raises(RuntimeFailure, match="its checksum is not that of its contents"):
            session().call("checkpoint_load", checkpoint)


def header_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any], data: Callable[[bytes], bytes] = lambda b: b) -> None:
    """Changes header (as JSON) and data of a checkpoint."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data(raw[8 + size :]))


def describe(header: dict[str, Any], **changes: Any) -> None:
    about = json.loads(header["__metadata__"]["nitic"]) | changes
    header["__metadata__"]["nitic"] = json.dumps(about, ensure_ascii=False, separators=(",", ":"))


def seal(path: Path) -> None:
    """Makes the checksum that of the contents, by the rule in checkpoint.h."""
    about, tensors = read_checkpoint(path)
    text = json.dumps(about | {"checksum": 16 * "0"}, ensure_ascii=False, separators=(",", ":")).encode()
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    checksum = 0xCBF29CE484222325
    for byte in text + b"".join(name.encode() + tensors[name].tobytes() for name in order):
        checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
    rewrite(path, lambda header: describe(header, checksum=f"{checksum:016x}"))


HEADERS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda h: h["w"].update(dtype="I32"), "tensor 'w' has another dtype"),
    (lambda h: h["w"].update(shape=[3, 2]), "tensor 'w' has another shape"),
    (lambda h: h["w"].update(shape=[6, 1, 1, 1, 1, 1, 1, 1]), "tensor 'w' has another shape"),
    (lambda h: h["w"].update(data_offsets=[0, 12]), "overlap or leave holes"),
    (lambda h: h["w"].update(data_offsets=[40, 54]), "tensor 'w' has another size"),
    (lambda h: h["w"].update(data_offsets=[2**62, 2**62 + 12]), "truncated: tensor 'w' ends at byte"),
    (lambda h: h["w"].update(data_offsets=[-12, 0]), "expected dtype, shape and data_offsets"),
    (lambda h: h["w"].update(data_offsets=[2**64, 2**64 + 12]), "expected dtype, shape and data_offsets"),
    (lambda h: h.pop("w"), "tensor 'w' is missing"),
    (lambda h: h.update(stranger=h["w"]), "the program has no tensor 'stranger'"),
    (lambda h: h.update({"\x1b[2J": h["w"]}), "the program has no tensor '?[2J'"),
    (lambda h: h.update(x=h["w"]), "the program has no tensor 'x'"),
    (lambda h: h.pop("__metadata__"), "no checkpoint of nitic"),
    (lambda h: h["__metadata__"].update(nitic="{}"), "expected a key of the description"),
    (lambda h: describe(h, identity="abc"), "belongs to another program: other options of nitic compile, or another"),
    (lambda h: describe(h, seed=-1), "its progress makes no sense"),
    (lambda h: describe(h, epoch_step=11), "its progress makes no sense"),
    (lambda h: describe(h, epochs="two"), "expected a value of the description"),
    (lambda h: describe(h, lr="fast"), "'fast' is no value of lr"),
]


@pytest.mark.parametrize(("change", "expected"), HEADERS)
def test_a_wrong_header_is_refused(toy: Path, checkpoint: Path, change: Callable[..., Any], expected: str) -> None:
    rewrite(checkpoint, change)
    sentence = fail(4, toy, "info", "--load", checkpoint)
    assert str(checkpoint) in sentence
    assert expected in sentence


FILES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda b: b"", "no checkpoint: it has 0 bytes"),
    (lambda b: b[:7], "no checkpoint: it has 7 bytes"),
    (lambda b: b[:100], "offset 0: no checkpoint: header of"),
    (lambda b: b[:-1], "truncated: tensor 'w' ends at byte 56 of the data, the file has 55"),
    (lambda b: b + b"x", "overlap or leave holes at byte 56"),
    (lambda b: struct.pack("<Q", 2**64 - 1) + b[8:], "header of 18446744073709551615 bytes"),
    (lambda b: struct.pack("<Q", 0) + b[8:], "offset 8: damaged checkpoint header, expected '{'"),
    (lambda b: b[:8] + b"[" + b[9:], "offset 8: damaged checkpoint header, expected '{'"),
    (lambda b: b.replace(b'"w.velocity"', b'"w.exponent"'), "tensor 'w.exponent' stands in it twice"),
    (lambda b: b[:-1] + bytes([~b[-1] & 255]), "damaged checkpoint: its checksum is not that of its contents"),
    (lambda b: b.replace(b'step\\":20', b'step\\":21'), "its checksum is not that of its contents"),
    (lambda b: b.replace(b"checksum", b"checksun"), "its checksum is not that of its contents"),
    (lambda b: b.replace(b'"w.velocity"', b'"w.veloci\xff\x9b"'), "the program has no tensor 'w.veloci??'"),
    (lambda b: b.replace(b'"w.velocity"', '"w.veloc\x9by"'.encode()), "the program has no tensor 'w.veloc??y'"),
]


@pytest.mark.parametrize(("change", "expected"), FILES)
def test_a_wrong_file_is_refused(toy: Path, checkpoint: Path, change: Callable[[bytes], bytes], expected: str) -> None:
    checkpoint.write_bytes(change(checkpoint.read_bytes()))
    assert expected in fail(4, toy, "info", "--load", checkpoint)


@pytest.mark.parametrize(
    ("form", "difference"),
    [
        ("batch", "batch 4, here 8 (an option of nitic compile); identity 001122334455, here ffee"),
        ("recipe", "recipe niti16, here niti; identity"),
        ("shape", "tensor 'w' [6], here [18]; identity"),
        ("other", "other options of nitic compile, or another network; identity 001122334455, here ffee"),
    ],
)
def test_what_differs_from_another_program_is_named(
    toolchain: Toolchain, checkpoint: Path, form: str, difference: str
) -> None:
    assert f"belongs to another program: {difference}" in fail(4, toolchain.toy(form), "info", "--load", checkpoint)


PROGRAMS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda h: h.pop("w"), "tensor 'w' missing, here [6]"),
    (lambda h: h.update(extra=h["w"]), "tensor 'extra' there, here missing"),
    (lambda h: describe(h, model="net.onnx"), "model net.onnx, here toy.onnx"),
    (lambda h: describe(h, compiler="nitic 0.0"), "compiler nitic 0.0, here nitic test"),
    (lambda h: describe(h, batch=2**40, recipe="x"), "recipe x, here niti16; batch 1099511627776, here 4"),
]


@pytest.mark.parametrize(("change", "difference"), PROGRAMS)
def test_every_difference_is_named(toy: Path, checkpoint: Path, change: Callable[..., Any], difference: str) -> None:
    rewrite(checkpoint, lambda h: (change(h), describe(h, identity="abc")))
    assert f"another program: {difference}" in fail(4, toy, "info", "--load", checkpoint)


def test_another_program_is_named(toolchain: Toolchain, checkpoint: Path, data: Path) -> None:
    before = checkpoint.read_bytes()
    options = ["train", "--data", data, "--resume", checkpoint, "--save", checkpoint]
    assert "belongs to another program" in fail(4, toolchain.toy("other"), *options)
    assert checkpoint.read_bytes() == before


def test_what_other_writers_add_or_reorder_is_accepted(toy: Path, checkpoint: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"] = {"format": "pt"} | header["__metadata__"]
        describe(header, future=1, note='an "escaped" \\ é \U0001f600 "checksum":" text')
        for name in sorted(header, reverse=True):
            header[name] = header.pop(name)

    rewrite(checkpoint, change)
    seal(checkpoint)
    assert "step 20, 2 of 2 epochs" in succeed(toy, "info", "--load", checkpoint)


def test_a_missing_or_odd_path(toy: Path, tmp_path: Path) -> None:
    assert "cannot open: No such file" in fail(1, toy, "info", "--load", tmp_path / "no")
    assert "not a regular file" in fail(1, toy, "info", "--load", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in fail(1, toy, "info", "--load", tmp_path / "pipe")


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files_never_crash(toolchain: Toolchain, checkpoint: Path, seed: int) -> None:
    text = succeed(toolchain.fuzzer(), "checkpoint", checkpoint, "800", str(seed))
    assert 0 <= int(text.split()[0]) < 40  # what stays the same in meaning, such as white space
