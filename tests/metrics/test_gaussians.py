"""The distance of two Gaussians, against what is known of it without its formula's code."""

import numpy as np
import pytest
import scipy.linalg

from tests.metrics.given import covariance, orthogonal
from tests.tools import random
from tfspecnorm.metrics import frechet_distance

ZERO = np.zeros(8)


def between(covariance_1, covariance_2):
    zero = np.zeros(len(covariance_1))
    return frechet_distance(zero, covariance_1, zero, covariance_2)


@pytest.mark.parametrize("deviations", [(2.0, 5.0), (1e-8, 1.0), (3.0, 0.0), (0.0, 0.0)])
def test_one_dimension(deviations):
    first, second = deviations
    found = frechet_distance([1.0], [[first**2]], [-2.0], [[second**2]])
    assert found == pytest.approx(9.0 + (first - second) ** 2, rel=1e-14)


def test_diagonal_covariances():
    random_state = np.random.default_rng(0)
    first, second, shift = random_state.uniform(0, 4, (3, 8))
    expected = np.sum(shift**2) + np.sum((first - second) ** 2)
    found = frechet_distance(shift, np.diag(first**2), ZERO, np.diag(second**2))
    assert found == pytest.approx(expected, rel=1e-13)


def test_covariances_that_commute():
    first, second = np.random.default_rng(1).uniform(0, 4, (2, 8))
    axes = orthogonal(8)
    found = between((axes * first**2) @ axes.T, (axes * second**2) @ axes.T)
    assert found == pytest.approx(np.sum((first - second) ** 2), rel=1e-12)


@pytest.mark.parametrize("samples", [4, 40], ids=["rank 3", "full rank"])
@pytest.mark.parametrize("larger", [3.0, 1 + 1e-3, 1 + 1e-9])
def test_scaled_covariance(samples, larger):
    """(a − b)² tr S; for the last factor that is 1e-18 of the traces, far below their rounding."""
    given = covariance(8, samples)
    expected = (larger - 1.0) ** 2 * np.trace(given)
    # The factors' squares are rounded to 1e-16, which is 1e-7 of their difference.
    assert between(given, given * larger**2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [2, 5, 30])
def test_square_root_by_scipy(size):
    first, second = covariance(size, 4 * size), covariance(size, 4 * size, seed=1)
    root = scipy.linalg.sqrtm(first @ second)
    expected = np.trace(first + second) - 2 * np.trace(root).real
    assert between(first, second) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("samples", [(5, 7), (7, 5), (5, 60), (2, 2)])
def test_fewer_samples_than_features(samples):
    """tr (S₁^½ S₂ S₁^½)^½ is the nuclear norm of X₁ X₂ᵀ, without any square root."""
    centered = [random(n, 20, seed=n + i, dtype="float64") for i, n in enumerate(samples)]
    centered = [(part - part.mean(0)) / np.sqrt(len(part) - 1) for part in centered]
    common = np.linalg.svd(centered[0] @ centered[1].T, compute_uv=False).sum()
    expected = sum(np.sum(part**2) for part in centered) - 2 * common
    found = between(*(part.T @ part for part in centered))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("ranks", [(4, 4), (1, 7), (7, 1), (3, 2), (8, 0)])
def test_orthogonal_subspaces(ranks):
    """Nothing is common: tr S₁ + tr S₂."""
    axes = orthogonal(8)
    first, second = axes[:, : ranks[0]], axes[:, 8 - ranks[1] :]
    found = between(4 * first @ first.T, 9 * second @ second.T)
    assert found == pytest.approx(4 * ranks[0] + 9 * ranks[1], rel=1e-13)


@pytest.mark.parametrize("samples", [2, 5, 100])
def test_equal_gaussians(samples):
    given = covariance(20, samples)
    axes = orthogonal(20)
    assert 0 <= between(given, given) <= 1e-25 * np.trace(given)
    # Equal up to rounding: an axis of variance 0 gets one of 1e-16, whose deviation is 1e-8.
    turned = axes.T @ (axes @ given @ axes.T) @ axes
    assert 0 <= between(given, (turned + turned.T) / 2) <= 1e-13 * np.trace(given)


def test_rotation_and_order_change_nothing():
    first, second, shift = covariance(12, 9), covariance(12, 50, seed=1), random(12)
    axes = orthogonal(12, seed=3)
    expected = frechet_distance(shift, first, np.zeros(12), second)
    turned = frechet_distance(
        axes @ shift, axes @ first @ axes.T, np.zeros(12), axes @ second @ axes.T
    )
    assert turned == pytest.approx(expected, rel=1e-12)
    swapped = frechet_distance(np.zeros(12), second, shift, first)
    assert swapped == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-100, 1e-6, 1e6, 1e100])
def test_unit(unit):
    first, second, shift = covariance(12, 9), covariance(12, 50, seed=1), random(12)
    shift = shift.astype("float64")
    expected = frechet_distance(shift, first, 2 * shift, second)
    scaled = frechet_distance(unit * shift, unit**2 * first, 2 * unit * shift, unit**2 * second)
    assert scaled == pytest.approx(unit**2 * expected, rel=1e-12)


def test_never_below_zero_near_equality():
    random_state = np.random.default_rng(0)
    for trial in range(50):
        given = covariance(6, 4, seed=trial)
        noise = 1e-14 * random_state.standard_normal((6, 6))
        assert 0 <= between(given, given + noise + noise.T) < 1e-10


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], EYE, [], EYE), "`mean_1` must have the shape"),
        (([[0, 0]], EYE, [0, 0], EYE), "`mean_1` must have the shape"),
        (([0, 0], EYE, [0, 0, 0], EYE), r"`mean_2` must.*Received: shapes \(3,\)"),
        (([0, np.nan], EYE, [0, 0], EYE), "`mean_1` must be.*finite.*Received: mean_1="),
        (([0, 0], EYE + np.inf, [0, 0], EYE), "`covariance_1` must be.*finite"),
        (([0, 0], EYE * 1j, [0, 0], EYE), "`covariance_1` must be.*real"),
        (([0, 0], EYE, [0, 0], np.eye(3)), r"`covariance_2` must have the shape \(2, 2\)"),
        (([0, 0], EYE, [0, 0], [1, 1]), r"`covariance_2` must have the shape \(2, 2\)"),
        (([0, 0], [[1, 1], [0, 1]], [0, 0], EYE), "`covariance_1` must be symmetric"),
        (([0, 0], EYE, [0, 0], -EYE), "`covariance_2` must be positive.*eigenvalue -1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*arguments)
