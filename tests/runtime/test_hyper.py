"""Options to integers: learning rate, momentum, weight decay, schedules."""

from collections.abc import Callable
from fractions import Fraction
from math import cos, pi

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nitic.arithmetic.updates import scaled_rate
from tests.runtime.helpers import RuntimeFailure, Session, fail, run
from tests.runtime.toolchain import Toolchain


@pytest.fixture(scope="module")
def library(toolchain: Toolchain) -> Session:
    return Session(toolchain.library())


def rounded(value: Fraction) -> tuple[int, int]:
    """(m, k) with m * 2^-k nearest to the value, m odd and below 256, half up."""
    k = 0
    while value >= 256:
        value, k = value / 2, k - 1
    while value < 128:
        value, k = value * 2, k + 1
    m = int(value + Fraction(1, 2))
    while m % 2 == 0:
        m, k = m // 2, k - 1
    return m, k


@pytest.mark.parametrize(
    ("text", "batch", "expected"),
    [
        ("0.015625", 64, (1, 6)),
        ("2^-6", 64, (1, 6)),
        ("2^-6", 256, (1, 6)),
        ("1", 64, (1, 0)),
        ("0.016", 64, (131, 13)),
        ("2^-4", 48, (171, 12)),
        ("0", 48, (0, 0)),
        ("1e-3", 1, (131, 17)),
        ("100", 1, (25, -2)),
    ],
)
def test_rates(library: Session, text: str, batch: int, expected: tuple[int, int]) -> None:
    assert library.scaled_rate(text, batch) == expected


@given(digits=st.integers(1, 10**9 - 1), tens=st.integers(-12, 0), batch=st.integers(1, 4096))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rates_are_exact_roundings(library: Session, digits: int, tens: int, batch: int) -> None:
    value = Fraction(digits) * Fraction(10) ** tens
    assert library.scaled_rate(f"{digits}e{tens}", batch) == scaled_rate(*rounded(value), batch)


def test_the_same_number_in_other_words(library: Session) -> None:
    assert (
        len({library.scaled_rate(text, 32) for text in ("0.01", "1e-2", ".01", "1E-2", "0.0100", "10e-3", "00.01")})
        == 1
    )


@pytest.mark.parametrize(
    "text", ["", "fast", "-1", "1e", "1..2", "0.1x", "1e-99", "2^", "2^-99", "1234567890", "1e9", " 1", "nan"]
)
def test_no_rate(toolchain: Toolchain, text: str) -> None:
    done = run(toolchain.toy(), "train", "--data", ".", "--lr", text)
    assert done.returncode in {2, 4}
    session = Session(toolchain.library())
    with pytest.raises(RuntimeFailure, match="--lr takes") as failure:
        session.call("configure", "lr", text)
    assert failure.value.code == 2


def schedule(session: Session, epochs: int, **options: str) -> list[dict[str, int]]:
    for name, text in options.items():
        session.call("configure", name.replace("_", "-"), text)
    session.progress.epochs = epochs
    values: list[dict[str, int]] = []
    for epoch in range(epochs):
        session.begin_epoch(epoch)
        names = ("rate_m", "rate_k", "momentum", "decay")
        values.append({name: session.hyper(name) for name in names})
    return values


def rates(values: list[dict[str, int]]) -> list[float]:
    return [v["rate_m"] * 2.0 ** -v["rate_k"] for v in values]


def test_step_schedule(session: Callable[..., Session]) -> None:
    assert rates(schedule(session(), 5, lr="2^-6", schedule="step:2,4:0.5")) == [2**-6, 2**-6, 2**-7, 2**-7, 2**-8]


def test_constant_schedule(session: Callable[..., Session]) -> None:
    assert rates(schedule(session(), 3, lr="0.5", schedule="constant")) == [0.5] * 3


@pytest.mark.parametrize(("text", "least"), [("cosine", 0.0), ("cosine:0.1", 0.1), ("cosine:1", 1.0)])
def test_cosine_schedule(session: Callable[..., Session], text: str, least: float) -> None:
    got = rates(schedule(session(), 30, lr="1", schedule=text))
    exact = [least + (1 - least) * (1 + cos(pi * e / 30)) / 2 for e in range(30)]
    assert got == pytest.approx(exact, rel=2**-8)


def test_the_rate_rises_to_its_first_value(session: Callable[..., Session]) -> None:
    """Steps are counted over the whole run; nothing but rates follows them."""
    s = session()
    for option, text in (("lr", "2^-3"), ("warmup", "8"), ("schedule", "constant")):
        s.call("configure", option, text)
    for step, expected in ((0, 1 / 64), (3, 4 / 64), (6, 7 / 64), (7, 1 / 8), (8, 1 / 8), (10**9, 1 / 8)):
        s.progress.step = step
        s.begin_epoch(0)
        assert s.hyper("rate_m") * 2.0 ** -s.hyper("rate_k") == expected


def test_momentum_and_decay(session: Callable[..., Session]) -> None:
    values = schedule(session(), 2, lr="2^-6", momentum="0.9", weight_decay="5e-4", schedule="step:1:0.25")
    assert values[0]["momentum"] == 230
    assert [v["decay"] for v in values] == [6 + 11, 8 + 11]  # 5e-4 is nearest to 2^-11
    assert schedule(session(), 1, weight_decay="0")[0]["decay"] == 80


@pytest.mark.parametrize(("lr", "k"), [("0.0234375", 5), ("0.0233", 6), ("0.03", 5)])
def test_decay_goes_by_the_nearest_power_of_two(session: Callable[..., Session], lr: str, k: int) -> None:
    assert schedule(session(), 1, lr=lr, weight_decay="2^-10", schedule="constant")[0]["decay"] == k + 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4,4,3,3,2", [4, 4, 3, 3, 2, 2]),
        ("5@0,4@2,3@5", [5, 5, 4, 4, 4, 3]),
        ("3", [3] * 6),
        ("auto", [4, 4, 4, 3, 3, 2]),
    ],
)
def test_gb(session: Callable[..., Session], text: str, expected: list[int]) -> None:
    s = session("niti")
    s.call("configure", "gb", text)
    s.progress.epochs = 6
    for epoch, gb in enumerate(expected):
        s.begin_epoch(epoch)
        assert s.hyper("gb") == gb


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *[("gb", text) for text in ("", "8", "4,", "4@1", "4@0,3@0", "4@0,3", "-1", "4;3")],
        *[
            ("schedule", text)
            for text in ("", "linear", "step", "step:", "step:3", "step:3:", "step:3,2:0.5", "step:3:2")
        ],
        *[("schedule", text) for text in ("cosine:", "cosine:2", "cosines", "step:3:0", "step:,:0.5")],
        *[("momentum", text) for text in ("1", "0.999", "-0.1", "much")],
        *[("weight-decay", text) for text in ("2", "1e-12", "-1", "l2")],
        *[("warmup", text) for text in ("", "-1", "1.5", "1000000000", "10 steps")],
    ],
)
def test_nonsense_is_refused_and_changes_nothing(session: Callable[..., Session], option: str, text: str) -> None:
    s = session("niti" if option == "gb" else "plain")
    before = s.configuration(option)
    with pytest.raises(RuntimeFailure, match=f"--{option} takes .*, not '{text}'"):
        s.call("configure", option, text)
    assert s.configuration(option) == before


def test_options_that_the_recipe_has_no_use_for(toolchain: Toolchain, data: object) -> None:
    train = ["train", "--data", str(data)]
    assert "recipe niti without momentum does not use it" in fail(2, toolchain.toy("niti"), *train, "--momentum", "0.9")
    assert "--weight-decay has no meaning here" in fail(2, toolchain.toy("niti"), *train, "--weight-decay", "1e-4")
    assert "--gb has no meaning here: recipe niti16" in fail(2, toolchain.toy(), *train, "--gb", "4")


def test_what_they_became_is_printed(toolchain: Toolchain, data: object) -> None:
    train = ["train", "--data", str(data), "--epochs", "1"]
    text = run(toolchain.toy(), *train, "--lr", "0.016", "--weight-decay", "5e-4").stderr
    assert "learning rate 0.016, schedule cosine: now 131 * 2^-13, with the batch folded in 131 * 2^-13" in text
    assert "momentum 230/256; weight decay 2^-11" in text
    assert "gb auto: now 4" in run(toolchain.toy("niti"), *train).stderr


def test_a_schedule_tells_its_changes(toolchain: Toolchain, data: object) -> None:
    options = ["train", "--data", str(data), "--epochs", "4"]
    text = run(toolchain.toy(), *options, "--schedule", "step:2:0.5").stderr
    assert "epoch 3/4: learning rate 1 * 2^-7\n" in text
    assert text.count(": learning rate") == 1
    assert "epoch 2/4: learning rate 1 * 2^-4, gb 3" in run(toolchain.toy("niti"), *options, "--gb", "4,3").stderr
