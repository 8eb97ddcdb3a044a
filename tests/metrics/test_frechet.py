"""The metric over images: its statistics, what it reports, and what it refuses."""

import numpy as np
import pytest

from tests.metrics.given import Given
from tests.tools import random
from tfspecnorm.metrics import FrechetDistance, Score, frechet_distance
from tfspecnorm.metrics._moments import Moments

REAL, GENERATED = random(101, 6), 2 * random(67, 6, seed=1) + 0.5


def in_batches(vectors, *sizes):
    return np.split(vectors, np.cumsum(sizes))


def test_value_from_mean_and_covariance_by_numpy():
    metric = FrechetDistance(Given())
    metric.update_state(REAL, GENERATED)
    sides = [part.astype("float64") for part in (REAL, GENERATED)]
    expected = frechet_distance(
        *(value for part in sides for value in (part.mean(0), np.cov(part, rowvar=False)))
    )
    assert float(metric.result()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("sizes", [(1,), (50, 1, 1, 30), (7,) * 14])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_batches_and_offset_change_nothing(sizes, offset):
    vectors = random(101, 6, dtype="float64") * np.logspace(-2, 2, 6)
    moments = Moments()
    for batch in in_batches(vectors + offset, *sizes):
        moments.update(batch)
    assert moments.count == 101
    # An offset of 1e6 rounds the data themselves to 1e-10.
    rounded = (vectors + offset) - offset
    covariance = np.cov(rounded, rowvar=False)
    deviations = np.sqrt(np.diag(covariance))
    error = (moments.covariance - covariance) / np.outer(deviations, deviations)
    assert np.abs(error).max() < (1e-13 if not offset else 1e-11)
    np.testing.assert_allclose(moments.mean - offset, rounded.mean(0), rtol=0, atol=1e-9)


def test_one_batch_far_from_zero():
    """A mean that is rounded to 1e-4 would be wrong in a covariance of 1e-8."""
    vectors = 2.0**40 + np.array([[0.0], [2.0**-12], [2.0**-11]])
    moments = Moments()
    moments.update(vectors)
    assert moments.covariance == pytest.approx(np.array([[2.0**-24]]), rel=1e-14)


def test_sides_come_in_any_order_and_size():
    whole, parts = FrechetDistance(Given()), FrechetDistance(Given())
    whole.update_state(real=REAL, generated=GENERATED)
    for batch in in_batches(GENERATED, 1, 60):
        parts.update_state(generated=batch)
    for batch in in_batches(REAL, 33, 3):
        parts.update_state(real=batch)
    assert float(parts.result()) == pytest.approx(float(whole.result()), rel=1e-12)
    assert (parts.result().real_samples, parts.result().generated_samples) == (101, 67)


def test_input_is_not_changed():
    before = GENERATED.copy()
    metric = FrechetDistance(Given())
    metric.update_state(generated=GENERATED)
    assert np.array_equal(GENERATED, before)


def test_real_side_is_kept():
    counted = []

    class Counting(Given):
        def features(self, images):
            counted.append(len(images))
            return super().features(images)

    metric = FrechetDistance(Counting())
    metric.update_state(REAL, GENERATED)
    first = metric.result()
    metric.reset_state(keep_real=True)
    metric.update_state(generated=GENERATED)
    assert metric.result() == first
    assert counted == [101, 67, 67]
    metric.reset_state()
    with pytest.raises(ValueError, match="Received: 0 real and 0 generated"):
        metric.result()
    metric.update_state(REAL[:, :2], GENERATED[:, :2])
    assert metric.result().real_samples == 101


def test_equal_samples_have_no_distance():
    metric = FrechetDistance(Given())
    metric.update_state(REAL[:4], REAL[:4])
    assert 0 <= float(metric.result()) < 1e-25


def test_few_samples_give_too_large_a_distance():
    """The bias that the documentation tells of: of one distribution, 0 in truth."""

    def mean_distance(samples):
        found = []
        for trial in range(20):
            metric = FrechetDistance(Given())
            metric.update_state(*random(2, samples, 6, seed=trial))
            found.append(float(metric.result()))
        return np.mean(found)

    assert mean_distance(10) > 4 * mean_distance(100) > 0


def test_report_names_all_that_the_value_rests_on():
    metric = FrechetDistance(Given("numbers"), name="distance")
    metric.update_state(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0], [4.0]]))
    score = metric.result()
    assert isinstance(score, Score)
    assert float(score) == pytest.approx(9 + (np.sqrt(2) - 1) ** 2)
    assert str(score) == "distance 9.17157 by numbers, 2 real and 3 generated samples"
    with pytest.raises(AttributeError):
        score.value = 0.0


@pytest.mark.parametrize("counts", [(1, 5), (5, 1), (0, 5), (5, 0)])
def test_fewer_than_two_samples(counts):
    metric = FrechetDistance(Given())
    for side, count in zip(("real", "generated"), counts, strict=True):
        if count:
            metric.update_state(**{side: REAL[:count]})
    message = f"at least 2 real and 2.*Received: {counts[0]} real and {counts[1]} generated"
    with pytest.raises(ValueError, match=message):
        metric.result()


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (None, None, "`real` or `generated` must be.*Received: real=None"),
        (REAL, np.full((3, 6), np.nan), "`generated` must be.*finite"),
        (np.full((3, 6), np.inf), GENERATED, "`real` must be.*finite"),
        (REAL, GENERATED[:, :5], "equally many features.*Received: 'given'"),
        (REAL[0], None, r"shape \(samples, d\).*Received.*\(6,\)"),
        (REAL[:0], None, r"shape \(samples, d\).*Received.*\(0, 6\)"),
        (REAL * 1j, None, "real features.*complex"),
    ],
)
def test_what_is_refused_changes_nothing(real, generated, message):
    metric = FrechetDistance(Given())
    metric.update_state(REAL, GENERATED)
    before = metric.result()
    with pytest.raises(ValueError, match=message):
        metric.update_state(real, generated)
    assert metric.result() == before


@pytest.mark.parametrize("extractor", [None, "inception", object()])
def test_extractor_without_features(extractor):
    with pytest.raises(ValueError, match="`extractor` must have.*Received: extractor="):
        FrechetDistance(extractor)
