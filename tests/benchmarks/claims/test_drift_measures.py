"""The measures of the claim on drift: against NumPy, and what they leave as it was."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from benchmarks.claims import classifiers, drift_measures, drift_recorder
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(0)
    images = random.standard_normal((24, 32, 32, 1), "float32")
    labels = random.integers(0, 3, 24).astype("int32")
    return Split(*[(images, labels)] * 3, (32, 32, 1), 3)


def model_of(split, normalization, slope=0.0):
    keras.utils.set_random_seed(0)
    protocol = classifiers.protocol_of(Setting("smoke"), "vgg7")
    return classifiers.compiled(dataclasses.replace(protocol, slope=slope), normalization, split, 0)


def test_the_covariance_is_that_of_numpy():
    gradients = np.random.default_rng(0).standard_normal((8, 30)) * np.arange(30) + 1
    found = drift_measures.covariance(gradients)
    expected = np.cov(gradients, rowvar=False)
    assert found["variance"] == pytest.approx(np.diag(expected).mean())
    values = np.linalg.eigvalsh(expected)[::-1]
    np.testing.assert_allclose(found["eigenvalues"][:7], values[:7])
    assert found["top_share"] == pytest.approx(values[0] / values.sum())
    assert found["mean_square"] == pytest.approx(np.mean(gradients.mean(axis=0) ** 2))


def test_equal_gradients_have_no_covariance():
    found = drift_measures.covariance(np.ones((4, 6), "float32"))
    assert found["variance"] == 0.0 and math.isnan(found["top_share"])
    assert found["mean_square"] == 1.0


def test_gradients_that_are_no_numbers_are_no_error():
    found = drift_measures.covariance(np.full((3, 4), np.nan))
    assert np.isnan(found["variance"]) and np.isnan(found["eigenvalues"]).all()


def test_zero_share():
    assert drift_measures.zero_share(np.array([[0.0, 1e-30], [-1.0, 0.0]])) == 0.5
    assert drift_measures.zero_share(np.ones(3)) == 0.0
    # Nothing reaches the layer, or the training has diverged.
    assert math.isnan(drift_measures.zero_share(np.zeros(3)))
    assert math.isnan(drift_measures.zero_share(np.array([0.0, np.nan])))


def test_drift_of_channels():
    start = np.random.default_rng(0).standard_normal((50, 4, 4, 2))
    deviation = np.sqrt(np.mean([start[..., 0].var(), start[..., 1].var()]))
    # Means that cancel in the layer do not in its channels.
    found = drift_measures.channel_drift(start + [3.0, -3.0], start)
    assert found == pytest.approx(3 / deviation)
    assert drift_measures.channel_drift(start, start) == 0.0
    # A dead layer does not stand still: it has no drift.
    assert math.isnan(drift_measures.channel_drift(np.zeros_like(start), start))


@pytest.mark.parametrize("normalization", ["batch", "mean-spectral"])
def test_gradients_are_those_of_training_and_change_nothing(split, normalization):
    model = model_of(split, normalization)
    images, labels = split.training
    before = [value.copy() for value in model.get_weights()]
    gradients = drift_recorder.Gradients(model)
    batches = [(images[:8], labels[:8]), (images[8:16], labels[8:16])]
    found = gradients([*batches, batches[0]])
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert list(found) == [*(f"conv{number}" for number in range(1, 7)), "head"]
    for rows in found.values():
        assert rows.shape[0] == 3
        np.testing.assert_allclose(rows[0], rows[2], rtol=1e-5, atol=1e-7)
        assert not np.array_equal(rows[0], rows[1])
    # The gradient of the head by hand: features times (probabilities - labels).
    features = keras.Model(model.input, model.get_layer("flatten").output)
    values = keras.ops.convert_to_numpy(features(images[:8], training=True)).astype("float64")
    head = model.get_layer("head")
    logits = values @ keras.ops.convert_to_numpy(head.kernel) + keras.ops.convert_to_numpy(
        head.bias
    )
    errors = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(3)[labels[:8]]
    np.testing.assert_allclose(found["head"][0], (values.T @ errors / 8).ravel(), atol=1e-5)


def test_kernels_in_use_have_norm_one_under_spectral_normalization(split):
    model = model_of(split, "spectral")
    for name, kernel in drift_measures.used_kernels(model).items():
        matrix = keras.ops.convert_to_numpy(kernel).reshape(-1, kernel.shape[-1])
        if name != "head":
            assert np.linalg.norm(matrix, 2) == pytest.approx(1, abs=1e-3)
    assert drift_measures.kernels(model).keys() == drift_measures.used_kernels(model).keys()


def test_pre_activations_are_the_outputs_of_the_convolutions(split):
    model = model_of(split, "none")
    found = drift_measures.pre_activations(model)(split.test[0][:2], training=False)
    assert sorted(found) == [f"conv{number}" for number in range(1, 7)]
    outputs = model.get_layer("conv1")(split.test[0][:2])
    np.testing.assert_allclose(found["conv1"], outputs, atol=1e-5)


def test_the_recorder_measures_before_and_after_every_epoch(split):
    model = model_of(split, "batch")
    protocol = classifiers.Protocol("vgg7", 32, 2, batch_size=8)
    recorder = drift_recorder.Recorder(split, protocol, 3, 16)
    model.fit(*split.training, batch_size=8, epochs=2, verbose=0, callbacks=[recorder])
    figures = recorder.figures
    assert figures["moments"] == [0, 1, 2]
    for own in figures["activations"].values():
        assert own["channels"][0] == 0.0
        # In training mode batch normalization's outputs have the mean of its offsets.
        assert own["mean"][0] == pytest.approx(0, abs=1e-5)
    assert all(len(own["mean"]) == 3 for own in figures["kernels"].values())
    assert all(len(own["share"]) == 3 for own in figures["zeros"].values())
    assert all(len(own["variance"]) == 3 for own in figures["covariance"].values())
    values = keras.ops.convert_to_numpy(model.get_layer("conv3").kernel)
    assert figures["kernels"]["conv3"]["mean"][-1] == pytest.approx(values.mean(), abs=1e-6)
