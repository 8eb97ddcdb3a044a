"""The classifiers of the claims: their training, and what counts as failed."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from benchmarks.claims import classifiers
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(0)
    images = random.standard_normal((96, 32, 32, 1), "float32")
    labels = random.integers(0, 3, 96).astype("int32")
    # Something to learn: each class has its own brightness.
    images += labels[:, None, None, None]
    parts = [(images[start : start + 32], labels[start : start + 32]) for start in (0, 32, 64)]
    return Split(*parts, (32, 32, 1), 3)


@pytest.fixture(scope="module")
def twice(split):
    """Records of two trainings from the same start, and of one at another rate between them."""
    protocol = classifiers.Protocol("vgg7", 32, 3, {"width": 0.1, "dropout": 0.0}, batch_size=16)
    keras.utils.set_random_seed(0)
    model = classifiers.compiled(protocol, "mean-spectral", split, 0)
    start = classifiers.Start(model)
    records = []
    for rate in (1e-3, 1e-2, 1e-3):
        start.restore(rate)
        assert float(model.optimizer.learning_rate.value) == pytest.approx(rate)
        assert int(model.optimizer.iterations.value) == 0
        records.append(classifiers.trained(model, split, protocol, rate, 0))
    return model, records


@pytest.mark.slow
def test_every_training_begins_at_the_same_values_with_the_same_order(twice):
    _, (first, other, again) = twice
    assert first == again
    assert first["history"] != other["history"]


def test_the_test_is_that_of_the_epoch_selected_in_validation(twice, split):
    model, records = twice
    record, history = records[-1], records[-1]["history"]
    ranks = list(zip(history["val_accuracy"], (-loss for loss in history["val_loss"]), strict=True))
    assert record["epoch"] == ranks.index(max(ranks))
    assert record["selected"] == max(history["val_accuracy"])
    # The model still has the weights of that epoch.
    for images, labels, accuracy_ in (
        (*split.validation, record["selected"]),
        (*split.test, record["test"]),
    ):
        predicted = model.predict(images, verbose=0).argmax(axis=1)
        assert float(np.mean(predicted == labels)) == pytest.approx(accuracy_, abs=1e-6)


def test_a_training_whose_loss_is_no_number_ends(split):
    protocol = classifiers.Protocol("vgg7", 32, 3, {"width": 0.1, "dropout": 0.0})
    model = classifiers.compiled(protocol, "none", split, 0)
    model.get_layer("head").bias.assign([math.nan] * 3)
    record = classifiers.trained(model, split, protocol, 1e-3, 0)
    assert record["epoch"] is record["test"] is None
    assert classifiers.failed(record, 3, 3)


@pytest.mark.parametrize(
    ("losses", "accuracies", "expected"),
    [
        ([2.3, 0.1], [0.1, 0.9], False),
        ([2.3, 2.3], [0.9, 0.19], True),
        ([2.3, None], [0.9, 0.9], True),
        ([2.3, math.inf], [0.9, 0.9], True),
        ([2.3], [0.9], True),
    ],
)
def test_failed_trainings(losses, accuracies, expected):
    record = {"history": {"loss": losses, "accuracy": accuracies}}
    assert classifiers.failed(record, classes=10, epochs=2) is expected


def test_noise_has_its_deviation_and_is_always_the_same(split):
    one, two = (classifiers.noisy(split, 0.5) for _ in range(2))
    difference = one.training[0] - split.training[0]
    assert difference.std() == pytest.approx(0.5, rel=0.02)
    assert np.array_equal(one.test[0], two.test[0])
    assert not np.array_equal(difference, one.test[0] - split.test[0])


def test_augmentation_is_in_training_alone(split):
    protocol = classifiers.Protocol("vgg7", 32, 1, {"width": 0.1, "dropout": 0.0}, shift=4)
    mirrored = dataclasses.replace(split, mirrored=True)
    model = classifiers.compiled(protocol, "none", mirrored, 0)
    images = split.test[0][:4]
    network = model.get_layer("vgg7")
    plain = network(images, training=False)
    np.testing.assert_allclose(model(images, training=False), plain, atol=1e-6)
    assert not np.allclose(model(images, training=True), plain, atol=1e-3)
    names = [type(layer).__name__ for layer in model.layers]
    assert names == ["InputLayer", "RandomTranslation", "RandomFlip", "Functional"]
    model = classifiers.compiled(protocol, "none", split, 0)
    names = [type(layer).__name__ for layer in model.layers]
    assert names == ["InputLayer", "RandomTranslation", "Functional"]
    classifiers.Start(model).restore(1e-3)


@pytest.mark.parametrize("normalization", classifiers.NORMALIZATIONS)
def test_all_have_the_same_activation(split, normalization):
    protocol = classifiers.protocol_of(Setting("smoke"), "vgg7")
    names = {
        type(own).__name__ for own in classifiers.compiled(protocol, normalization, split, 0).layers
    }
    assert "ReLU" in names and "LeakyReLU" not in names


def test_weight_normalization_has_its_robust_start(split):
    protocol = classifiers.protocol_of(Setting("smoke"), "vgg7")
    model = classifiers.compiled(protocol, "weight", split, 0)
    conv = next(own for own in model.layers if getattr(own, "layer", own).name == "conv2")
    inputs, outputs = conv.layer.kernel.shape[2:]
    gains = keras.ops.convert_to_numpy(conv.gains()["kernel"].value)
    np.testing.assert_allclose(gains, math.sqrt(2 * inputs / outputs), rtol=1e-6)
