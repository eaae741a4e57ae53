"""Losses: the float stage against a direct formula, the integers against the float stage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitic.arithmetic.integers import Array
from nitic.arithmetic.losses import LARGEST_TARGET, loss_exponent
from nitic.arithmetic.sums import common_exponent
from nitic.ops.loss import CrossEntropyOp, MeanSquaredErrorOp
from tests.support.operators import make, reference


def labels(*values: int) -> Array:
    return np.array(values, np.int32)


def integer(logits: Array, e: int, label: Array, *random: int) -> tuple[Array, int, int]:
    """(dlogits, loss, correct) of int8 logits at an exponent, with seed and step or without."""
    scalars = [np.asarray(value, dtype) for value, dtype in zip(random, (np.int64, np.int32), strict=False)]
    outputs = make(CrossEntropyOp, logits, label, "exponent", *scalars).reference(
        logits, label, np.asarray(e), *scalars
    )
    assert isinstance(outputs, tuple)
    dlogits, loss, correct = outputs
    return dlogits, int(loss), int(correct)


def direct(logits: Array, label: Array) -> tuple[Array, float]:
    """(p - onehot, sum of losses in bits in Q8), row by row."""
    gradient, loss = np.zeros(logits.shape), 0.0
    for row, (z, right) in enumerate(zip(logits, label, strict=True)):
        if right < 0:
            continue
        p = np.exp(z) / np.exp(z).sum()
        loss -= np.log2(p[right]) * 256
        gradient[row] = p
        gradient[row, right] -= 1
    return gradient, loss


@given(rows=st.integers(1, 9), classes=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_floats_follow_the_formula(rows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, label = 3 * rng.normal(size=(rows, classes)), rng.integers(-1, classes, rows).astype(np.int32)
    dlogits, loss, correct = reference(CrossEntropyOp, logits, label)
    gradient, expected = direct(logits, label)
    np.testing.assert_allclose(dlogits, gradient / 2 ** np.floor(np.log2(rows)), atol=1e-12)
    assert loss == pytest.approx(expected, abs=1e-6)
    assert correct == (logits.argmax(1) == label).sum()


def test_floats_do_not_overflow() -> None:
    dlogits, loss, _ = reference(CrossEntropyOp, np.array([[1e4, 0.0]]), labels(1))
    assert dlogits.tolist() == [[1.0, -1.0]]
    assert loss == pytest.approx(1e4 / np.log(2) * 256)


@given(rows=st.integers(1, 9), classes=st.integers(1, 12), e=st.integers(-8, -4), seed=st.integers(0, 2**32 - 1))
def test_integers_follow_the_floats(rows: int, classes: int, e: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(-127, 128, (rows, classes)).astype(np.int8)
    label = rng.integers(-1, classes, rows).astype(np.int32)
    dlogits, loss, correct = integer(logits, e, label)
    real, expected, right = reference(CrossEntropyOp, logits * 2.0**e, label)
    # the rounding moves a mantissa by less than one, and the tables a little; the loss has steps of 1/256
    assert np.abs(dlogits - real * 2.0 ** -loss_exponent(rows)).max() <= 1.1
    assert abs(loss - expected) <= 3 * rows
    assert correct == right


@pytest.mark.parametrize("largest", [0, 0.001, 0.06, 0.25, 1, 2, 4, 8])
@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
def test_the_other_classes_keep_their_mass(classes: int, largest: float) -> None:
    """What rounding to int8 leaves of a thousand small errors, over 10,000 rows with logits up to +-largest."""
    e, found, expected = int(np.ceil(np.log2(largest or 1))) - 7, 0.0, 0.0
    for seed in range(10):
        rng, rows = np.random.default_rng(seed), np.arange(1000)
        logits = np.rint(rng.uniform(-largest, largest, (1000, classes)) * 2.0**-e).clip(-127, 127).astype(np.int8)
        label = rng.integers(0, classes, 1000).astype(np.int32)
        error, _, _ = integer(logits, e, label, 1, seed)
        real, _ = direct(logits * 2.0**e, label)
        error[rows, label] = real[rows, label] = 0
        found, expected = found + error.sum() * 2.0**-7, expected + real.sum()
    assert found == pytest.approx(expected, rel=0.004)


@given(rows=st.integers(1, 9), classes=st.integers(2, 1000), e=st.integers(-20, 0), seed=st.integers(0, 2**32 - 1))
def test_every_row_sums_to_zero(rows: int, classes: int, e: int, seed: int) -> None:
    """Up to the ends: an error of -128 is stored as -127, and each probability is itself rounded."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-127, 128, (rows, classes)).astype(np.int8)
    label = rng.integers(0, classes, rows).astype(np.int32)
    dlogits, _, _ = integer(logits, e, label, seed, 3)
    assert np.abs(dlogits.sum(1, dtype=np.int64)).max() <= 2


def test_over_the_steps_equal_logits_have_equal_errors() -> None:
    """A probability of 1/1000 is 0.128 of a mantissa: every class gets its ones, and none more than its share."""
    total = np.zeros(1000)
    for step in range(50):
        dlogits, _, _ = integer(np.zeros((64, 1000), np.int8), 0, labels(*[999] * 64), 7, step)
        total += dlogits.sum(0)
    share = total[:-1] / (50 * 64)
    assert share.mean() == pytest.approx(0.128, rel=0.01)
    assert share.std() == pytest.approx(np.sqrt(0.128 * 0.872 / (50 * 64)), rel=0.2)


def test_the_exponent_holds_the_mean_over_the_batch() -> None:
    assert [loss_exponent(n) for n in (1, 2, 3, 64, 100)] == [-7, -8, -8, -13, -13]


def run(logits: Array, label: Array) -> tuple[Array, float, int]:
    """The operator in the logits' own arithmetic."""
    return integer(logits, -2, label) if logits.dtype == np.int8 else reference(CrossEntropyOp, logits, label)


@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_a_row_without_label_counts_for_nothing(dtype: type[np.generic]) -> None:
    logits = np.array([[1, 5, 2], [9, 1, 1]], dtype)
    label = labels(1, -1)
    dlogits, loss, correct = run(logits, label)
    _, alone, _ = run(logits[:1], label[:1])
    assert dlogits[1].tolist() == [0, 0, 0]
    assert dlogits[0].any()
    assert loss == pytest.approx(alone)
    assert correct == 1


def test_a_batch_without_labels_is_all_zero() -> None:
    dlogits, loss, correct = integer(np.full((2, 3), -127, np.int8), 3, labels(-1, -1))
    assert (dlogits.any(), loss, correct) == (False, 0, 0)


def test_the_first_of_equal_logits_is_the_prediction() -> None:
    assert integer(np.array([[3, 3], [3, 3]], np.int8), 0, labels(0, 1))[2] == 1


def test_equal_logits_share_the_mass() -> None:
    dlogits, loss, _ = integer(np.zeros((1, 4), np.int8), 0, labels(2))
    assert dlogits.tolist() == [[32, 32, -96, 32]]
    assert loss == 2 * 256


def test_a_certain_right_answer_has_no_error() -> None:
    dlogits, loss, _ = integer(np.array([[127, -127]], np.int8), 3, labels(0))
    assert (dlogits.tolist(), loss) == ([[0, 0]], 0)


def test_a_certain_wrong_answer_is_cut_at_32_bits() -> None:
    dlogits, loss, _ = integer(np.array([[127, -127]], np.int8), 20, labels(1))
    assert dlogits.tolist() == [[127, -127]]
    assert loss == 32 * 256


def test_one_class_is_always_right() -> None:
    dlogits, loss, correct = integer(np.array([[-5]], np.int8), 0, labels(0))
    assert (dlogits.tolist(), loss, correct) == ([[0]], 0, 1)


def labels_for(rng: np.random.Generator, rows: int, classes: int) -> Array:
    """One number is compared with labels that are numbers."""
    return rng.integers(-1, LARGEST_TARGET + 1 if classes == 1 else classes, rows).astype(np.int32)


def squared(logits: Array, e: int, label: Array) -> tuple[Array, int, int, int]:
    """(dlogits, its exponent before the mean, loss, correct) of int8 logits at an exponent."""
    common = common_exponent(e, 0)
    op = make(MeanSquaredErrorOp, logits, label, "exponent", "exponent")
    outputs = op.reference(logits, label, np.asarray(e), np.asarray(common))
    assert isinstance(outputs, tuple)
    dlogits, loss, correct = outputs
    return dlogits, common, int(loss), int(correct)


@given(rows=st.integers(1, 9), classes=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_mean_squared_error_has_the_gradient_of_its_loss(rows: int, classes: int, seed: int) -> None:
    """By central differences; the loss is twice what is made small, in Q16, and a sum instead of a mean."""
    rng = np.random.default_rng(seed)
    logits, label = rng.normal(size=(rows, classes)), labels_for(rng, rows, classes)
    dlogits, loss, correct = reference(MeanSquaredErrorOp, logits, label)
    target = label[:, None] if classes == 1 else np.arange(classes) == label[:, None]
    assert loss == pytest.approx(((logits - target) ** 2)[label >= 0].sum() * 2**16)
    answers = np.rint(logits[:, 0]) if classes == 1 else logits.argmax(1)
    assert correct == ((answers == label) & (label >= 0)).sum()
    at = (rng.integers(rows), rng.integers(classes))
    step = np.zeros_like(logits)
    step[at] = 1e-4
    up, down = (reference(MeanSquaredErrorOp, logits + sign * step, label)[1] for sign in (1, -1))
    slope = (up - down) / 2e-4 / 2**17
    assert dlogits[at] * 2.0 ** (-loss_exponent(rows) - 7) == pytest.approx(slope, abs=1e-5)


@given(rows=st.integers(1, 9), classes=st.integers(1, 12), e=st.integers(-16, 16), seed=st.integers(0, 2**32 - 1))
def test_the_integer_difference_is_exact(rows: int, classes: int, e: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(-127, 128, (rows, classes)).astype(np.int8)
    label = labels_for(rng, rows, classes)
    dlogits, common, loss, correct = squared(logits, e, label)
    real, expected, right = reference(MeanSquaredErrorOp, logits * 2.0**e, label)
    np.testing.assert_array_equal(dlogits * 2.0**common, real * 2.0 ** (-loss_exponent(rows) - 7))
    assert np.abs(dlogits).max() <= MeanSquaredErrorOp.LARGEST_DIFFERENCE
    assert abs(loss - expected) <= rows / 2 or loss >= 2**30
    assert correct == right


def test_squares_by_hand() -> None:
    """Logits 1.5, -1 at exponent -1, label 0: differences 0.5 and -1; the sum of squares is 1.25."""
    dlogits, common, loss, correct = squared(np.array([[3, -2], [9, 9]], np.int8), -1, labels(0, -1))
    assert (dlogits.tolist(), common, loss, correct) == ([[1, -2], [0, 0]], -1, 5 << 14, 1)


@pytest.mark.parametrize(
    ("e", "expected"), [(17, [[127, -127]]), (-17, [[-1, 0]]), (16, [[(127 << 16) - 1, -127 << 16]])]
)
def test_far_apart_the_smaller_operand_is_dropped(e: int, expected: list[list[int]]) -> None:
    dlogits, common, loss, _ = squared(np.array([[127, -127]], np.int8), e, labels(0))
    assert (dlogits.tolist(), common) == (expected, 17 if e == 17 else 0)
    assert loss == (2**16 if e == -17 else 2**30)


@pytest.mark.parametrize(("value", "label", "correct"), [(25, 3, 1), (28, 3, 1), (29, 3, 0), (19, 3, 0), (0, -1, 0)])
def test_one_number_is_right_where_the_label_is_the_nearest(value: int, label: int, correct: int) -> None:
    """Mantissas at 2^-3; both neighbours of a half are near."""
    logits, wanted = np.array([[value]], np.int8), labels(label)
    assert squared(logits, -3, wanted)[3] == correct
    assert reference(MeanSquaredErrorOp, logits / 8, wanted)[2] == correct
