"""Features and probabilities of images by small models that can be computed by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.tools import BACKEND, random
from tfspecnorm.metrics import FrechetDistance, InceptionScore
from tfspecnorm.metrics.extractors import Extractor
from tfspecnorm.metrics.extractors._resizing import resized


def images_of(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def means(*size, channels=3):
    """The mean of each channel, and a classifier behind it."""
    return keras.Sequential(
        [
            keras.Input((*size, channels)),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(5, name="logits"),
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_features_and_probabilities(batch_size):
    model, images = means(6, 6), images_of(9, 6, 6, 3)
    extractor = Extractor(model, "means", "mean", from_logits=True, batch_size=batch_size)
    features, probabilities = extractor.features(images), extractor.probabilities(images)
    assert features.dtype == probabilities.dtype == "float64"
    np.testing.assert_allclose(features, images.mean((1, 2)), atol=1e-6)
    kernel, bias = (ops.convert_to_numpy(v) for v in model.layers[-1].weights)
    logits = images.mean((1, 2)) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-14)


def test_without_a_layer_the_outputs_are_the_features():
    extractor = Extractor(means(6, 6), "means")
    assert extractor.features(images_of(2, 6, 6, 3)).shape == (2, 5)


def test_large_logits():
    model = keras.Sequential([keras.Input((1, 1, 2)), layers.Flatten(), layers.Rescaling(1e5)])
    extractor = Extractor(model, "large", from_logits=True)
    images = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]], "float32").reshape(3, 1, 1, 2)
    assert extractor.probabilities(images).tolist() == [[1, 0], [0, 1], [0.5, 0.5]]


def test_grey_images_are_repeated():
    images = images_of(3, 6, 6, 1)
    found = Extractor(means(6, 6), "means", "mean").features(images)
    np.testing.assert_allclose(found, np.repeat(images.mean((1, 2)), 3, 1), atol=1e-6)


@pytest.mark.parametrize("size", [None, (7, 5)])
def test_sizes_that_the_model_wants(size):
    """Each pixel of an input shows itself in the outputs."""
    model = keras.Sequential([keras.Input((*(size or (None, None)), 3)), _Corner()])
    extractor = Extractor(model, "corner", image_size=None if size else (7, 5))
    images = images_of(2, 12, 12, 3)
    expected = resized(images, (7, 5))
    np.testing.assert_allclose(extractor.features(images), expected[:, -1, -1], atol=1e-6)


class _Corner(layers.Layer):
    def call(self, inputs):
        return inputs[:, -1, -1]


def test_images_keep_their_size_where_the_model_has_none():
    extractor = Extractor(means(None, None), "means", "mean", from_logits=True)
    for size in (4, 9):
        images = images_of(2, size, size, 3)
        np.testing.assert_allclose(extractor.features(images), images.mean((1, 2)), atol=1e-6)


def test_preprocessing_comes_last():
    def preprocess(images):
        assert images.shape[1:] == (6, 6, 3) and images.dtype == "float32"
        return (images + 1) * 127.5

    extractor = Extractor(means(6, 6), "means", "mean", preprocess=preprocess)
    found = extractor.features(np.zeros((2, 3, 3, 1)))
    np.testing.assert_allclose(found, np.full((2, 3), 127.5))


def test_tensors_and_half_precision():
    images = images_of(3, 6, 6, 3)
    extractor = Extractor(means(6, 6), "means", "mean")
    expected = extractor.features(images)
    assert np.array_equal(extractor.features(ops.convert_to_tensor(images)), expected)
    half = ops.convert_to_numpy(ops.cast(images, "bfloat16"))
    np.testing.assert_allclose(extractor.features(half), expected, atol=1e-2)


def test_model_is_not_changed():
    """Batch normalization stands still, and dropout is off."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Softmax(),
        ]
    )
    extractor, images = Extractor(model, "normalized", "mean"), images_of(8, 6, 6, 3)
    before = [ops.convert_to_numpy(v).copy() for v in model.variables]
    first = extractor.features(images)
    assert np.array_equal(extractor.features(images), first)
    for variable, value in zip(model.variables, before, strict=True):
        assert np.array_equal(ops.convert_to_numpy(variable), value)


def test_images_at_once():
    """A last batch of another size would be compiled anew; few images are not made more."""
    sizes = []

    def preprocess(images):
        sizes.append(len(images))
        return images

    extractor = Extractor(means(6, 6), "means", "mean", preprocess=preprocess, batch_size=4)
    for count in (10, 8, 3):
        images = images_of(count, 6, 6, 3)
        np.testing.assert_allclose(extractor.features(images), images.mean((1, 2)), atol=1e-6)
    assert sizes == [4, 4, 4, 4, 4, 3]


def test_both_metrics():
    extractor = Extractor(means(6, 6), "means", "mean", from_logits=True)
    distance, score = FrechetDistance(extractor), InceptionScore(extractor, splits=2)
    real, made = images_of(40, 6, 6, 3), images_of(40, 8, 8, 1, seed=1)
    for metric in (distance, score):
        metric.update_state(real=real, generated=made)
    assert float(distance.result()) > 0
    assert 1 <= float(score.result()) <= 5
    assert "by means, 40 real and 40 generated" in str(distance.result())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 6, 6, 3), "uint8"), "float array.*type uint8"),
        (np.zeros((6, 6, 3)), r"\(batch, height, width, channels\).*shape \(6, 6, 3\)"),
        (np.zeros((0, 6, 6, 3)), r"shape \(0, 6, 6, 3\)"),
        (np.full((2, 6, 6, 3), 255.0), r"in \[-1, 1\].*between 255.0 and 255.0"),
        (np.full((2, 6, 6, 3), np.nan), "between nan and nan"),
        (np.zeros((2, 6, 6, 2)), "the 3 channels.*'means'.*2 channels"),
    ],
)
def test_images_that_are_refused(images, message):
    with pytest.raises(ValueError, match=f"`images` must .*{message}"):
        Extractor(means(6, 6), "means").features(images)


def test_colour_for_a_grey_model():
    with pytest.raises(ValueError, match="the 1 channels.*Received: images with 3"):
        Extractor(means(6, 6, channels=1), "means").features(np.zeros((2, 6, 6, 3)))


def test_features_that_are_no_vectors():
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(2, 3, name="conv")])
    message = r"features of the shape \(batch, size\).*`feature_layer`.*\(2, 4, 4, 2\)"
    with pytest.raises(ValueError, match=message):
        Extractor(model, "maps").features(np.zeros((2, 6, 6, 3)))


def _vectors():
    return keras.Sequential([keras.Input((3,)), layers.Dense(1)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "`name` must be a text"),
        ({"feature_layer": "none"}, "`feature_layer` must.*layers.*'mean', 'logits'"),
        ({"image_size": 6}, "`image_size` must.*Received: image_size=6"),
        ({"image_size": (6, 0)}, "`image_size` must"),
        ({"preprocess": "scale"}, "`preprocess` must be a function"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"model": keras.Sequential([layers.Dense(1)])}, "`model` must be built"),
        ({"model": _vectors()}, r"must have one input.*shape \(None, 3\)"),
        ({"model": "inception"}, "`model` must be a Keras model"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Extractor(**({"model": means(6, 6), "name": "means"} | arguments))


@pytest.mark.parametrize("size", [(5, 4), (13, 30), (9, 11), (1, 1), (40, 3)])
def test_resizing_as_the_backends_do(size):
    images = random(2, 9, 11, 3)
    expected = ops.image.resize(
        ops.convert_to_tensor(images),
        size,
        interpolation="bilinear",
        antialias=True,
        data_format="channels_last",
    )
    found = resized(images, size)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=2e-5)


def test_resizing_by_hand():
    """Halving weighs four pixels by 1, 3, 3, 1; at the border three by 3, 3, 1."""
    row = np.array([7.0, 14.0, 21.0, 56.0]).reshape(1, 1, 4, 1)
    expected = np.array([(3 * 7 + 3 * 14 + 21) / 7, (14 + 3 * 21 + 3 * 56) / 7])
    np.testing.assert_allclose(resized(row, (1, 2)).ravel(), expected)
    np.testing.assert_allclose(
        resized(row, (1, 8)).ravel(), [7, 8.75, 12.25, 15.75, 19.25, 29.75, 47.25, 56]
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a Python package, the same for all backends")
def test_resizing_as_pillow_does():
    image_module = pytest.importorskip("PIL.Image")
    image = random(20, 31)
    expected = image_module.fromarray(image).resize((7, 45), image_module.Resampling.BILINEAR)
    found = resized(image[None, :, :, None], (45, 7))[0, :, :, 0]
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)
