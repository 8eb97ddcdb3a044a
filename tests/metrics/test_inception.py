"""The Inception score against values by hand and against its definition."""

import numpy as np
import pytest

from tests.metrics.given import Given
from tests.tools import random
from tfspecnorm.metrics import InceptionScore, inception_score


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_uniform_predictions_score_1(classes):
    score, deviation = inception_score(np.full((40, classes), 1 / classes), splits=4)
    assert score == pytest.approx(1.0, abs=1e-14)
    assert score >= 1.0
    assert deviation == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("classes", [2, 7, 1000])
def test_certain_predictions_of_all_classes_score_their_number(classes):
    probabilities = np.tile(np.eye(classes), (2, 1))
    score, deviation = inception_score(probabilities, splits=2)
    assert score == pytest.approx(classes, rel=1e-13)
    assert deviation == pytest.approx(0.0, abs=1e-10)


def test_one_class_alone_scores_1():
    assert inception_score(np.eye(5)[[2] * 20], splits=1) == (1.0, None)


def test_two_splits_by_hand():
    """The first split scores 2. In the second p(y) = (3/4, 1/4), and KL is ln(4/3) or ln(2/√3)."""
    probabilities = [[1, 0], [0, 1], [1, 0], [0.5, 0.5]]
    certain, even = np.log(4 / 3), 0.5 * np.log((1 / 2) / (3 / 4)) + 0.5 * np.log(2)
    second = np.exp((certain + even) / 2)
    score, deviation = inception_score(probabilities, splits=2)
    assert score == pytest.approx((2 + second) / 2, rel=1e-14)
    assert deviation == pytest.approx((2 - second) / 2, rel=1e-14)


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_definition(splits):
    """Splits of unequal sizes, and the sum of p (log p − log p(y)) as it is written."""
    probabilities = softmax(3 * random(101, 6, dtype="float64"))
    scores = []
    for part in range(splits):
        chosen = probabilities[part * 101 // splits : (part + 1) * 101 // splits]
        divergences = np.sum(chosen * np.log(chosen / chosen.mean(0)), axis=1)
        scores.append(np.exp(divergences.mean()))
    score, deviation = inception_score(probabilities, splits)
    assert score == pytest.approx(np.mean(scores), rel=1e-13)
    assert deviation is None if splits == 1 else deviation == pytest.approx(np.std(scores))


def test_order_of_the_splits():
    """Sorted by class each split has one, in a random order all of them."""
    probabilities = np.eye(4)[np.arange(400) // 100]
    assert inception_score(probabilities, splits=4) == (1.0, 0.0)
    shuffled = inception_score(probabilities, splits=4, seed=0)
    assert shuffled[0] > 3.8
    assert inception_score(probabilities, splits=4, seed=0) == shuffled
    assert inception_score(probabilities, splits=4, seed=1) != shuffled


def test_probabilities_near_0():
    tiny = np.array([[1 - 5e-324, 5e-324], [1.0, 0.0], [0.0, 1.0], [1e-300, 1.0]])
    assert inception_score(tiny, splits=1)[0] == pytest.approx(2.0, rel=1e-14)


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_make_no_difference(seed):
    probabilities = softmax(2 * random(61, 5, dtype="float64"))
    metric = InceptionScore(Given("numbers"), splits=3, seed=seed)
    for batch in np.split(probabilities, [1, 40]):
        metric.update_state(generated=batch)
    expected = inception_score(probabilities, 3, seed)
    for _ in range(2):
        score = metric.result()
        assert (score.value, score.deviation) == pytest.approx(expected, rel=1e-13)
    metric.update_state(generated=probabilities)
    assert metric.result().generated_samples == 122
    metric.reset_state()
    with pytest.raises(ValueError, match="Received: 0 images, splits=3"):
        metric.result()


def test_report():
    metric = InceptionScore(Given("numbers"), splits=2)
    metric.update_state(generated=np.eye(2)[[0, 1, 0, 1]])
    expected = "inception_score 2 ± 0 by numbers, 0 real and 4 generated samples"
    assert str(metric.result()) == expected


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.full(20, 0.5), r"shape \(samples, classes\).*\(20,\)"),
        (np.full((20, 2), np.nan), "must be finite"),
        (np.tile([[1.5, -0.5]], (20, 1)), "entries between -0.5 and 1.5"),
        (np.tile([[2.0, 1.0]], (20, 1)), "`from_logits=True`.*sums between 3 and 3"),
        (np.full((19, 2), 0.5), "2 samples for each.*Received: 19 samples, splits=10"),
        (np.full((0, 2), 0.5), r"shape \(samples, classes\)"),
    ],
)
def test_what_is_refused(probabilities, message):
    with pytest.raises(ValueError, match=message):
        inception_score(probabilities)


def test_what_the_metric_refuses():
    metric = InceptionScore(Given(), splits=2)
    metric.update_state(generated=np.eye(2)[[0, 1, 0]])
    with pytest.raises(ValueError, match="2 generated images for each.*Received: 3 images"):
        metric.result()
    with pytest.raises(ValueError, match="`generated` must be.*Received: generated=None"):
        metric.update_state(real=np.eye(2))
    with pytest.raises(ValueError, match="equally many classes.*Received: 2 and 3"):
        metric.update_state(generated=np.eye(3))
    with pytest.raises(ValueError, match="`extractor` must have.*Received: extractor="):
        InceptionScore(object())


@pytest.mark.parametrize("splits", [0, -1, 2.0, True, None])
def test_splits_that_are_no_number_of_parts(splits):
    with pytest.raises(ValueError, match="`splits` must be a positive.*Received: splits="):
        InceptionScore(Given(), splits=splits)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "one"])
def test_seeds_that_are_refused(seed):
    with pytest.raises(ValueError, match="`seed` must be an integer.*Received: seed="):
        InceptionScore(Given(), seed=seed)
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        inception_score(np.full((20, 2), 0.5), seed=seed)
