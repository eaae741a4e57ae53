"""Training from Python: the README's example, inputs that fit and those that do not, errors as one sentence."""

import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nitic
from models.lenet import lenet
from nitic.arithmetic.integers import Array
from nitic.checkpoint import digest
from nitic.driver.export import export_checkpoint
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions, ExportFormat, ExportOptions
from nitic.session import CompiledProgram, _in_input_order
from tests.export.predictions import by_onnxruntime
from tests.networks.stages import samples

BATCH = 8
README = Path(__file__).resolve().parents[2] / "README.md"


def colour_net() -> NetworkWriter:
    """Three channels of 3x3, so that (3, 3, 3) fits both orders. Its weight is called as a scalar of recipe niti."""
    net = NetworkWriter("colour", (3, 3, 3), 0)
    net.linear("fc", 4, bias=False)
    net.initializers[0].name = net.nodes[-1].input[1] = "gb"
    return net


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> CompiledProgram:
    path = tmp_path_factory.mktemp("session") / "lenet.onnx"
    lenet().save(path)
    return nitic.compile(path, batch_size=BATCH, target="x86-64-portable")


@pytest.fixture
def session(program: CompiledProgram) -> nitic.TrainingSession:
    s = nitic.TrainingSession(program, threads=1)
    s.set_statistics(samples((28, 28, 1), 64)[0])
    return s


def batch() -> tuple[Array, Array]:
    return samples((28, 28, 1), BATCH)


def refused(call: Callable[[], Any], sentence: str, code: ExitCode = ExitCode.DATA_MISMATCH) -> None:
    with pytest.raises(CompileError, match=re.escape(sentence)) as failure:
        call()
    assert failure.value.exit_code == code


def test_the_readme_example_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"From Python:\n\n((?:    .*\n|\n)+)", README.read_text())
    assert example
    monkeypatch.chdir(tmp_path)
    lenet().save(tmp_path / "lenet.onnx")
    images, labels = samples((28, 28, 1), 256)
    names: dict[str, Any] = {"images": images, "labels": labels}
    exec(textwrap.dedent(example[1]), names)
    assert names["metrics"].count == 64
    assert names["logits"].shape == (10, 10)
    assert (tmp_path / "lenet.ckpt").exists()


def test_a_program_keeps_the_standardisation_that_it_was_compiled_with(tmp_path: Path) -> None:
    colour_net().save(tmp_path / "colour.onnx")
    compiled = nitic.compile(tmp_path / "colour.onnx", batch_size=4, target="x86-64-portable", mean=(0.5,), std=(0.25,))
    session = nitic.TrainingSession(compiled, threads=1)
    before = session.state_dict()["input.offset"].copy()
    session.set_statistics(np.arange(16 * 27, dtype=np.uint8).reshape(16, 3, 3, 3))
    np.testing.assert_array_equal(session.state_dict()["input.offset"], before)


# ---- epochs and options


def test_without_epochs_training_goes_on(session: nitic.TrainingSession) -> None:
    assert session.configuration("schedule") == "constant"
    x, y = batch()
    for epoch in range(3):
        session.begin_epoch(epoch)
        before = session.state_dict()
        session.train_step(x, y)
        assert any((before[name] != value).any() for name, value in session.state_dict().items()), epoch


def test_epochs_and_seed_are_those_of_the_run(program: CompiledProgram) -> None:
    session = nitic.TrainingSession(program, threads=1, epochs=5, seed=7)
    assert session.configuration("schedule") == "cosine"
    assert (session._progress.epochs, session._progress.seed) == (5, 7)
    session.begin_epoch(4)
    assert session._progress.epoch == 4
    refused(lambda: nitic.TrainingSession(program, epochs=0), "epochs is a whole number from 1", ExitCode.USAGE)
    refused(lambda: nitic.TrainingSession(program, seed=-1), "seed is a whole number from 0", ExitCode.USAGE)


def test_options_hold_from_the_next_step_on(session: nitic.TrainingSession) -> None:
    session.configure(lr="0", momentum="0")
    x, y = batch()
    before = session.state_dict()
    session.train_step(x, y)
    after = session.state_dict()
    assert all((before[name] == after[name]).all() for name in before if f"{name}.exponent" in before)
    refused(lambda: session.configure(speed="9"), "there is no option 'speed'", ExitCode.USAGE)


def test_a_parameter_may_have_the_name_of_a_scalar(tmp_path: Path) -> None:
    colour_net().save(tmp_path / "colour.onnx")
    program = nitic.compile(tmp_path / "colour.onnx", batch_size=2, target="x86-64-portable")
    session = nitic.TrainingSession(program, threads=1)
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    session.set_statistics(x)
    session.configure(lr="0")
    before = session.state_dict()
    session.train_step(x, [0, 1])
    after = session.state_dict()
    assert (before["gb"] == after["gb"]).all()


# ---- samples and labels


def test_orders_of_a_colour_image(tmp_path: Path) -> None:
    colour_net().save(tmp_path / "colour.onnx")
    session = nitic.TrainingSession(nitic.compile(tmp_path / "colour.onnx", batch_size=2, target="x86-64-portable"))
    nchw = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(session._samples(nchw), nchw.transpose(0, 2, 3, 1))
    for shape in ((2, 27), (2, 9, 3), (2, 3, 9), (2, 1, 3, 3, 3), ()):
        refused(lambda s=shape: session._samples(np.zeros(s, np.uint8)), f"samples of shape {shape} do not fit")


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_orders_of_a_sequence(order: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(_in_input_order(x.transpose(order), (1, 7, 3)), x[:, None])
    assert _in_input_order(x.reshape(2, 21), (1, 7, 3)) is None


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 28, 28), (28, 28), (784,)])
def test_shapes_of_a_grey_image_are_the_same_image(session: nitic.TrainingSession, shape: tuple[int, ...]) -> None:
    x, y = batch()
    session.calibrate(x)
    assert session.eval_step(x.reshape(BATCH, *shape), y) == session.eval_step(x, y)


def test_samples_that_do_not_fit(session: nitic.TrainingSession) -> None:
    x, y = batch()
    session.calibrate(x)
    refused(lambda: session.train_step(x.reshape(BATCH, 14, 56), y), "do not fit the program's input")
    refused(lambda: session.train_step(x.astype(np.float32), y), "samples are uint8, not float32")
    refused(lambda: session.train_step(x[:3], y[:3]), "takes exactly 8 samples")
    refused(lambda: session.eval_step(np.repeat(x, 2, 0), np.repeat(y, 2)), "a batch holds 1 to 8", ExitCode.USAGE)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (3.7, "labels are integers, not float64"),
        (2**32 + 1, "label 4294967297 in row 1: the program has classes 0 to 9"),
        (10, "label 10 in row 1"),
        (-1, "label -1 in row 1"),
    ],
)
def test_labels_that_do_not_fit(session: nitic.TrainingSession, label: float, sentence: str) -> None:
    x, y = batch()
    labels: Any = [int(y[0]), label, *map(int, y[2:])]
    refused(lambda: session.train_step(x, labels), sentence)
    refused(lambda: session.train_step(x, y[:3]), "8 samples come with labels of shape (3,)")


def test_without_statistics_the_sentence_says_what_to_call(program: CompiledProgram) -> None:
    x, y = batch()
    call = nitic.TrainingSession(program, threads=1).train_step
    refused(lambda: call(x, y), "give the training set to nitic_set_statistics", ExitCode.USAGE)


def test_untrained_weights_are_calibrated_with_a_warning(session: nitic.TrainingSession) -> None:
    x, y = batch()
    with pytest.warns(UserWarning, match="never trained: the exponents are calibrated on these 8 samples"):
        first, _ = session.predict(x)
    assert len(np.unique(first)) > 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.eval_step(x, y)


# ---- state and checkpoints


def test_state_goes_from_session_to_session(program: CompiledProgram, session: nitic.TrainingSession) -> None:
    x, y = batch()
    session.train_step(x, y)
    other = nitic.TrainingSession(program, threads=1)
    other.load_state_dict(session.state_dict())
    assert all((other.state_dict()[name] == value).all() for name, value in session.state_dict().items())


def changed(session: nitic.TrainingSession, name: str, value: Array) -> Callable[[], None]:
    return lambda: session.load_state_dict({**session.state_dict(), name: value})


def test_states_that_do_not_fit_change_nothing(session: nitic.TrainingSession) -> None:
    before = session.state_dict()
    name = next(name for name, value in before.items() if value.dtype == np.int16)
    w = before[name]
    refused(changed(session, "stranger", w), "the state does not have tensor 'stranger'")
    refused(changed(session, name, w[:1]), f"tensor '{name}' has shape")
    refused(changed(session, name, w / 2), f"tensor '{name}' holds float64, the program expects int16")
    refused(changed(session, name, w * 0 + np.int16(-32768)), "the program expects -32767 to 32767")
    refused(changed(session, name, w.astype(np.int64) + 2**32), "the program expects -32767 to 32767")
    refused(lambda: session.load_state_dict({}), "the state lacks tensor")
    refused(lambda: session._view("nobody"), "the program has no tensor 'nobody'", ExitCode.USAGE)
    assert all((before[key] == value).all() for key, value in session.state_dict().items())


def test_checkpoints(program: CompiledProgram, session: nitic.TrainingSession, tmp_path: Path) -> None:
    x, y = batch()
    session.train_step(x, y)
    session.save_checkpoint(tmp_path / "a")
    other = nitic.TrainingSession(program, threads=1)
    other.load_checkpoint(tmp_path / "a")
    assert other.train_step(x, y) == session.train_step(x, y)
    session.begin_epoch(1)
    session._progress.samples = 1  # as after loading a checkpoint of the binary: its epochs had other lengths
    session.train_step(x, y)
    session.save_checkpoint(tmp_path / "a")
    other.load_checkpoint(tmp_path / "a")
    assert (other._progress.epoch, other._progress.epoch_step, other._progress.step) == (1, 1, 3)
    refused(lambda: other.load_checkpoint(tmp_path / "no"), "cannot open: No such file", ExitCode.RUN_TIME)
    (tmp_path / "a").write_bytes(b"no checkpoint")
    refused(lambda: other.load_checkpoint(tmp_path / "a"), "no checkpoint")
    refused(lambda: other.save_checkpoint(tmp_path / "a"), "it is not replaced", ExitCode.RUN_TIME)


# ---- export


def test_an_exported_model_predicts_what_the_session_does(session: nitic.TrainingSession, tmp_path: Path) -> None:
    for _ in range(3):
        session.train_step(*batch())
    x = np.random.default_rng(0).integers(0, 256, (BATCH, 28, 28, 1), np.uint8)
    session.export_model(tmp_path / "lenet.onnx")
    logits, exponent = session.predict(x)
    model = (tmp_path / "lenet.onnx").read_bytes()
    for found in by_onnxruntime(model, x):
        np.testing.assert_array_equal(found, logits)
    properties = {each.key: each.value for each in onnx.load_from_string(model).metadata_props}
    assert properties["nitic.identity"] == session.compiled.program.identity
    assert properties["nitic.logits.exponent"] == str(exponent)


def test_weights_that_were_never_trained_are_exported_once_they_are_calibrated(
    session: nitic.TrainingSession, tmp_path: Path
) -> None:
    refused(
        lambda: session.export_model(tmp_path / "lenet.onnx"),
        "these weights were never trained, so that nothing has set the exponents of inference",
        ExitCode.USAGE,
    )
    assert list(tmp_path.iterdir()) == []
    session.calibrate(batch()[0])
    session.export_model(tmp_path / "lenet.onnx")
    for found in by_onnxruntime((tmp_path / "lenet.onnx").read_bytes(), batch()[0]):
        np.testing.assert_array_equal(found, session.predict(batch()[0])[0])


def exported(source: Path, checkpoint: Path, **options: Any) -> bytes:
    """What `nitic export` writes."""
    compiled = CompileOptions(source, **options.pop("compiled", {}))
    return export_checkpoint(
        ExportOptions(compiled, checkpoint, checkpoint.with_suffix(".onnx"), **options)
    ).read_bytes()


def test_a_checkpoint_is_exported_by_its_binary_its_model_and_its_session(
    program: CompiledProgram, session: nitic.TrainingSession, tmp_path: Path
) -> None:
    """To the same bytes."""
    binary, model = program.path, program.options.model
    checkpoint, out = tmp_path / "lenet.ckpt", tmp_path / "out.onnx"
    session.train_step(*batch())
    session.save_checkpoint(checkpoint)
    session.export_model(out)
    assert exported(binary, checkpoint) == exported(model, checkpoint) == out.read_bytes()
    session.export_model(out, "float")
    assert exported(model, checkpoint, format=ExportFormat.FLOAT) == out.read_bytes()
    session.export_model(out, "qdq", 21)
    assert exported(model, checkpoint, format=ExportFormat.QDQ, opset=21) == out.read_bytes()
    properties = {each.key: each.value for each in onnx.load(out).metadata_props}
    told = [properties[f"nitic.{key}"] for key in ("format", "identity", "recipe", "checkpoint")]
    assert told == ["qdq", program.program.identity, "niti16", digest(session.state_dict())]


def test_exports_that_are_refused(program: CompiledProgram, session: nitic.TrainingSession, tmp_path: Path) -> None:
    binary, model, checkpoint = program.path, program.options.model, tmp_path / "lenet.ckpt"
    session.save_checkpoint(checkpoint)
    other = {"compiled": {"batch_norm": "freeze", "loss": "mse"}}
    belongs = (
        f"{checkpoint}: the checkpoint belongs to another program: identity {program.program.identity[:12]}, here "
    )
    refused(lambda: exported(model, checkpoint, **other), belongs)
    sentence = "--format float: a binary does not hold the network in floats"
    refused(lambda: exported(binary, checkpoint, format=ExportFormat.FLOAT), sentence, ExitCode.USAGE)
    junk = tmp_path / "junk.ckpt"
    junk.write_bytes(model.read_bytes())
    refused(lambda: exported(model, junk), f"{junk}: it is no whole checkpoint of nitic")
    junk.unlink()
    refused(lambda: session.export_model(tmp_path / "out.onnx", "tflite"), "unknown format 'tflite'", ExitCode.USAGE)
    sentence = "--opset: it is for --format qdq, not integer"
    refused(lambda: exported(model, checkpoint, opset=21), sentence, ExitCode.USAGE)
    sentence = "lenet: these weights were never trained, so that nothing has set the exponents"
    refused(lambda: exported(model, checkpoint, format=ExportFormat.QDQ), sentence, ExitCode.USAGE)
    whole = checkpoint.read_bytes()
    for at in (len(whole) - 1, len(whole) // 2, whole.index(b"epoch_step")):
        checkpoint.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused(lambda: exported(model, checkpoint), "damaged checkpoint: its checksum is not that of its contents")
    checkpoint.write_bytes(whole[:-1])
    refused(lambda: exported(model, checkpoint), f"{checkpoint}: it is no whole checkpoint of nitic")
    assert [path.name for path in tmp_path.iterdir()] == ["lenet.ckpt"], "nothing was written"
