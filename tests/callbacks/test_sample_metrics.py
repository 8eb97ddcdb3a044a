"""Metrics of generated images in the logs of training."""

import csv

import keras
import numpy as np
import pytest

from tests.callbacks.training import fit, small_model
from tests.metrics.given import Given
from tfspecnorm.callbacks import SampleMetrics
from tfspecnorm.metrics import FrechetDistance, InceptionScore, Score
from tfspecnorm.metrics.extractors import Extractor

REAL = np.random.default_rng(9).uniform(-0.5, 0.5, (30, 1, 1, 1)).astype("float32")


class Pixels(Given):
    """One feature, the pixel; two classes by its sign. Counts the images that it has seen."""

    def __init__(self, name="pixels"):
        super().__init__(name)
        self.seen = []

    def features(self, images):
        self.seen.append(len(images))
        return images.reshape(len(images), -1)

    def probabilities(self, images):
        return np.eye(2)[(images.reshape(-1) > 0).astype(int)]


class Shifted(keras.Sequential):
    """Noise around its bias, which training moves; remembers how it was called."""

    calls = None
    spread = 0.5

    def generate(self, count, seed=None):
        (bias,) = keras.ops.convert_to_numpy(self.layers[0].bias)
        self.calls = [*(self.calls or []), (count, seed)]
        noise = np.random.default_rng(seed).uniform(-self.spread, self.spread, (count, 1, 1, 1))
        return bias + noise


def train(callback, *more, epochs=3, model=None, **arguments):
    if model is None:
        model = Shifted([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(keras.optimizers.SGD(0.25), "mse")
    data = np.zeros((4, 1)), np.full((4, 1), 0.8)
    history = model.fit(*data, epochs=epochs, verbose=0, callbacks=[callback, *more], **arguments)
    return model, history.history


def test_values_are_those_of_the_epoch():
    """The bias is 0.4, 0.6 and 0.7; the metrics by hand of the same latent vectors."""
    metrics = [FrechetDistance(Pixels()), InceptionScore(Pixels(), splits=2)]
    callback = SampleMetrics(metrics, REAL, samples=25, batch_size=25, seed=3)
    model, history = train(callback)
    ((_, seed),) = set(model.calls[1:])
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (25, 1, 1, 1))
    for index, bias in enumerate([0.4, 0.6, 0.7]):
        found = [FrechetDistance(Pixels()), InceptionScore(Pixels(), splits=2)]
        for metric in found:
            metric.update_state(REAL, (noise + bias).astype("float32"))
        for metric in found:
            value = history[f"{metric.name}/pixels"][index]
            assert type(value) is float
            assert value == pytest.approx(float(metric.result()), rel=1e-5)
    assert set(history) == {"loss", "frechet_distance/pixels", "inception_score/pixels"}
    assert list(callback.scores) == ["frechet_distance/pixels", "inception_score/pixels"]
    for name, score in callback.scores.items():
        assert isinstance(score, Score)
        assert float(score) == history[name][-1]
        assert score.generated_samples == 25
    assert callback.scores["frechet_distance/pixels"].real_samples == 30


def test_real_images_are_looked_at_once():
    extractor = Pixels()
    callback = SampleMetrics([FrechetDistance(extractor)], REAL, samples=10, batch_size=4)
    model, _ = train(callback, epochs=2)
    assert extractor.seen == [30, 4] + [4, 4, 2] * 2
    train(callback, model=model, epochs=1)
    assert extractor.seen == [30, 4] + [4, 4, 2] * 2 + [4] + [4, 4, 2]
    assert callback.scores["frechet_distance/pixels"].real_samples == 30


def test_latent_vectors_are_fixed_and_those_of_batches_differ():
    callback = SampleMetrics([FrechetDistance(Pixels())], REAL, samples=10, batch_size=4)
    model, _ = train(callback, epochs=2)
    first, second = model.calls[1:4], model.calls[4:]
    assert first == second
    assert [count for count, _ in first] == [4, 4, 2]
    assert len({seed for _, seed in first}) == 3
    other = SampleMetrics([FrechetDistance(Pixels())], REAL, samples=10, batch_size=4, seed=1)
    assert train(other, epochs=1)[0].calls[1:] != first


def test_epochs_without_a_measurement(tmp_path):
    """Tables that fix their columns at the first row have it too."""
    callback = SampleMetrics([FrechetDistance(Pixels())], REAL, samples=10, every=2)
    logger = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    model, history = train(callback, logger, epochs=5)
    assert [count for count, _ in model.calls] == [2, 10, 10]
    values = history["frechet_distance/pixels"]
    assert np.isnan(values).tolist() == [True, False, True, False, True]
    with open(tmp_path / "log.csv", newline="") as file:
        found = [float(row["frechet_distance/pixels"]) for row in csv.DictReader(file)]
    np.testing.assert_array_equal(found, values)


def test_callbacks_behind_it_can_choose_by_it(tmp_path):
    path = str(tmp_path / "{epoch}.weights.h5")
    name = "frechet_distance/pixels"
    keeper = keras.callbacks.ModelCheckpoint(
        path, monitor=name, mode="min", save_best_only=True, save_weights_only=True
    )
    callback = SampleMetrics([FrechetDistance(Pixels())], REAL, samples=10)
    _, history = train(callback, keeper)
    assert history[name] == sorted(history[name])
    assert [part.name for part in tmp_path.iterdir()] == ["1.weights.h5"]


def test_samples_that_are_not_finite():
    callback = SampleMetrics([FrechetDistance(Pixels())], REAL, samples=10)
    model, _ = train(callback, epochs=1)
    assert callback.scores
    model.layers[0].bias.assign([np.nan])
    _, history = train(callback, model=model, epochs=1)
    assert np.isnan(history["frechet_distance/pixels"]).all()
    assert callback.scores == {}


class Constant(keras.Sequential):
    """Generates the images that it was given."""

    images = None

    def generate(self, count, seed=None):
        return self.images[:count]


def _pixels(channels):
    model = keras.Sequential([keras.Input((1, 1, channels)), keras.layers.Flatten()])
    return FrechetDistance(Extractor(model, "pixels"))


@pytest.mark.parametrize(
    ("images", "metric", "message"),
    [
        (np.zeros((8, 1, 1)), _pixels(1), r"must return 2 images.*shape \(2, 1, 1\)"),
        (np.zeros((1, 1, 1, 1)), _pixels(1), r"must return 2 images.*shape \(1, 1, 1, 1\)"),
        (np.zeros((8, 1, 1, 1), "uint8"), _pixels(1), "images of floats.*of type uint8"),
        (np.zeros((8, 1, 1, 3)), _pixels(1), "the 1 channels.*Received: images with 3"),
        (np.full((8, 1, 1, 1), 255.0), _pixels(1), r"in \[-1, 1\].*between 255.0 and 255.0"),
        (np.zeros((8, 1, 2, 1)), FrechetDistance(Pixels()), "equally many features"),
    ],
)
def test_wrong_images_are_found_before_training(images, metric, message):
    """Long before the fifth epoch, the first that is measured."""
    model = Constant([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.images = images
    with pytest.raises(ValueError, match=message):
        train(SampleMetrics([metric], REAL, samples=8, every=5), model=model, epochs=5)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_trial_does_not_count():
    callback = SampleMetrics([InceptionScore(Pixels(), splits=1)], None, samples=10)
    train(callback, epochs=1)
    assert callback.scores["inception_score/pixels"].generated_samples == 10


def test_two_extractors_have_columns_of_their_own():
    metrics = [FrechetDistance(Pixels(name)) for name in ("first", "second")]
    _, history = train(SampleMetrics(metrics, REAL, samples=10), epochs=1)
    assert {"frechet_distance/first", "frechet_distance/second"} < set(history)


def test_model_that_generates_nothing():
    callback = SampleMetrics([FrechetDistance(Pixels())], REAL)
    with pytest.raises(ValueError, match="`SampleMetrics` needs a model.*Received: model"):
        fit(small_model(), callback)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": []}, "at least one metric"),
        ({"metrics": [keras.losses.MeanSquaredError()]}, "`metrics` must be a list.*Received"),
        ({"metrics": [FrechetDistance(Pixels())] * 2}, "none twice.*frechet_distance/pixels"),
        ({"samples": 0}, "`samples` must be a positive integer"),
        ({"every": 0}, "`every` must be a positive integer"),
        ({"batch_size": 1.5}, "`batch_size` must be a positive integer"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"samples": 1}, "`samples` must be at least 2 for .*'frechet_distance'.*samples=1"),
        (
            {"metrics": [InceptionScore(Pixels())], "samples": 19},
            "`samples` must be at least 20 for .*'inception_score'. Received: samples=19",
        ),
        ({"real_images": REAL[:1]}, r"`real_images` must be at least 2 .*shape \(1, 1, 1, 1\)"),
        ({"real_images": None}, r"`real_images` must be .* of shape \(\)"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    given = {"metrics": [FrechetDistance(Pixels())], "real_images": REAL}
    with pytest.raises(ValueError, match=message):
        SampleMetrics(**(given | arguments))
