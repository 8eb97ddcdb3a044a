"""Starts of weight-normalized networks: the trainer, and the networks that it trains."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from benchmarks import start_signals
from benchmarks.claims import (
    starts_depth,
    starts_images,
    starts_signals,
    starts_training,
)
from benchmarks.claims.data import Split
from benchmarks.claims.starts_training import STARTS, Trainer
from tests import tools
from tfspecnorm import initializers, models
from tfspecnorm.layers import WeightNorm

GUESSING = math.log(10)


def small_split(seed=0, count=160):
    """Images of two classes, told apart by their mean."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype("int32")
    images = random.standard_normal((count, 4, 4, 1)).astype("float32")
    images += 2.0 * labels[:, None, None, None] - 1
    parts = [(images[part], labels[part]) for part in (slice(96), slice(96, 128), slice(128, None))]
    return Split(*parts, (4, 4, 1), 2)


@pytest.fixture(scope="module")
def trainer():
    keras.utils.set_random_seed(3)
    split = small_split()
    return Trainer(starts_depth.mlp(split.shape, 2, 2, 8), split, batch_size=32, seed=1)


def wrapped(model):
    return [layer for layer in model.layers if isinstance(layer, WeightNorm)]


def kernels(model):
    return [tools.array(layer.effective_kernels()["kernel"]) for layer in wrapped(model)]


def test_starts(trainer):
    heads, used = [], {}
    for start in STARTS:
        trainer.start(start)
        used[start] = kernels(trainer.model)
        heads.append(tools.array(trainer.model.get_layer("head").kernel))
    np.testing.assert_array_equal(heads[0], heads[1])
    np.testing.assert_array_equal(heads[0], heads[2])
    # g = √(2 · 16 / 8) on orthonormal columns, and √2 where both sides are equal.
    np.testing.assert_allclose(used["robust"][0].T @ used["robust"][0], 4 * np.eye(8), atol=1e-5)
    np.testing.assert_allclose(used["robust"][1].T @ used["robust"][1], 2 * np.eye(8), atol=1e-5)
    outputs = trainer.split.training[0].reshape(96, 16) @ used["data-dependent"][0]
    np.testing.assert_allclose(outputs.std(axis=0), 1, atol=1e-5)
    lengths = [np.linalg.norm(kernel, axis=0) for kernel in used["default"]]
    bound = math.sqrt(6 / (16 + 8))
    assert np.abs(used["default"][0]).max() <= bound
    trainer.start("default")
    for layer, length in zip(wrapped(trainer.model), lengths, strict=True):
        np.testing.assert_allclose(tools.array(layer.gains()["kernel"]), length, rtol=1e-5)


def test_size_of_the_input_of_the_head(trainer):
    """Data of another start is left behind: the length is that of the start that was named."""
    trainer.train("default", 0.05, 1)
    first, second = (layer.layer for layer in wrapped(trainer.model))
    found = starts_depth.features(trainer, "robust")
    hidden = trainer.split.training[0][:32].reshape(32, 16)
    for kernel in kernels(trainer.model):
        hidden = np.maximum(hidden @ kernel, 0)
    assert not np.any(tools.array(first.bias)) and not np.any(tools.array(second.bias))
    assert found == pytest.approx(np.linalg.norm(hidden, axis=1).mean(), rel=1e-5)


def test_every_training_begins_anew(trainer):
    first = trainer.train("robust", 0.05, 3)
    other = trainer.train("default", 0.05, 3)
    assert trainer.train("robust", 0.05, 3) == first
    assert other["losses"] != first["losses"]
    assert first["accuracy"] > 0.8
    assert starts_training.learned(first, 2)
    assert starts_training.diverged([first, other]) == ""


def test_the_first_step_against_numpy(trainer):
    """Logistic regression by hand: hidden layers are the features of the head."""
    trainer.start("robust")
    images, labels = trainer.split.training
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(trainer.model(images)))
    expected = -np.log(probabilities[np.arange(96), labels]).mean()
    whole = Trainer(trainer.model, trainer.split, batch_size=96, seed=1)
    # A long warm-up starts next to 0, so the second step sees the same network.
    losses = whole.train("default", 0.1, 2, warm_up=5000)["losses"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    whole._starts["robust"] = trainer._starts["robust"]
    assert whole.train("robust", 0.1, 1)["losses"][0] == pytest.approx(expected, rel=1e-5)


def test_a_lost_network_ends_early(trainer):
    row = trainer.train("robust", 1e6, 20)
    assert len(row["losses"]) <= 3
    assert row["accuracy"] is None
    assert not starts_training.learned(row, 2)
    assert starts_training.diverged([row, row | {"accuracy": 0.5}]) == "1 of 2 diverged"


def test_what_diverges_in_the_end_is_not_tested(trainer, monkeypatch):
    monkeypatch.setattr(starts_training, "_LOST", 0.0)
    row = trainer.train("robust", 0.05, 5, select=True)
    assert len(row["losses"]) == 3
    assert max(row["validation"]) > 0.7
    assert row["accuracy"] is None


@pytest.mark.parametrize(
    ("losses", "stops", "lost"),
    [
        ([3.0] * 20, False, False),
        ([2.31] * 21, True, False),
        # A hundredth less than before, or less than guessing, is progress.
        ([3.0] * 20 + [2.9], False, False),
        ([2.2] * 30, False, False),
        ([1e9, 1e9], False, False),
        ([1e9, 1e9, 1e9], True, True),
        ([1.0, math.nan], True, True),
    ],
)
def test_when_a_training_ends(losses, stops, lost):
    watch = watched(losses, epochs=60)
    assert (watch.model.stop_training, watch.lost) == (stops, lost)


def watched(losses, epochs):
    watch = starts_training._Watch(GUESSING, epochs)
    watch.set_model(keras.Sequential())
    watch.model.stop_training = False
    for epoch, loss in enumerate(losses):
        watch.on_epoch_end(epoch, {"loss": loss})
    return watch


@pytest.mark.parametrize(("epochs", "patience"), [(12, 20), (60, 20), (120, 40)])
def test_long_trainings_are_given_more_time(epochs, patience):
    assert not watched([2.31] * patience, epochs).model.stop_training
    assert watched([2.31] * (patience + 1), epochs).model.stop_training


def test_the_epoch_best_in_validation_is_tested(trainer):
    row = trainer.train("robust", 0.05, 3, select=True)
    assert len(row["validation"]) == 3
    assert trainer.accuracy(*trainer.split.validation) == max(row["validation"])
    assert trainer.accuracy(*trainer.split.test) == row["accuracy"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_moved_images_are_cuts_of_the_padded_ones(mirrored):
    images = np.arange(2 * 3 * 3, dtype="float32").reshape(2, 3, 3, 1) + 1
    parts = [(images, np.array([0, 1]))] * 3
    split = Split(*parts, (3, 3, 1), 2, mirrored=mirrored)
    batches = starts_images.Moved(split, batch_size=2, shift=1, seed=0)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    found = []
    for _ in range(10):
        ((moved, labels),) = [batches[0]]
        assert sorted(labels) == [0, 1]
        for image, label in zip(moved, labels, strict=True):
            cuts = [padded[label, i : i + 3, j : j + 3] for i in range(3) for j in range(3)]
            as_it_is = any(np.array_equal(image, cut) for cut in cuts)
            found.append(as_it_is)
            assert as_it_is or any(np.array_equal(image[:, ::-1], cut) for cut in cuts)
        batches.on_epoch_end()
    assert all(found) != mirrored


def test_training_on_moved_images_is_repeatable(trainer):
    first = trainer.train("robust", 0.05, 2, shift=1)
    assert trainer.train("robust", 0.05, 2, shift=1) == first
    assert trainer.train("robust", 0.05, 2)["losses"] != first["losses"]


def test_size_of_the_input_of_the_head_of_a_convolutional_network():
    split = small_split()
    trainer = Trainer(starts_depth.cnn(split.shape, 2, depth=2, width=4), split, 32, seed=0)
    found = starts_depth.features(trainer, "robust")
    hidden = split.training[0][:32]
    for layer in trainer.model.layers[:-1]:
        hidden = layer(hidden)
    assert found == pytest.approx(np.linalg.norm(tools.array(hidden), axis=1).mean(), rel=1e-5)


def test_a_convolutional_network_has_the_layers_of_the_paper():
    model = starts_depth.cnn((32, 32, 1), 10, depth=4, width=6)
    shapes = [layer.output.shape[1:] for layer in model.layers]
    assert shapes == [(16, 16, 6), (8, 8, 6), (8, 8, 6), (8, 8, 6), (6,), (10,)]
    assert len(wrapped(model)) == 4


def test_residual_networks_get_the_start_of_their_blocks():
    model = models.resnet((8, 8, 1), depth=14, width=0.25)
    split = dataclasses.replace(small_split(), shape=(8, 8, 1), classes=10)
    Trainer(model, split, 32, seed=0).start("robust")
    gains = {layer.layer.name: tools.array(layer.gains()["kernel"]) for layer in wrapped(model)}
    # Two blocks in each stage.
    np.testing.assert_allclose(gains["stage1_block1_conv2"], math.sqrt(1 / 2), rtol=1e-6)
    np.testing.assert_allclose(gains["stage1_block1_conv1"], math.sqrt(2), rtol=1e-6)


@pytest.mark.slow
def test_signals_of_gains():
    """Those of √2 follow from those of 1: they are what a network with gains of √2 has."""
    sizes, seed = start_signals.SMOKE_SIGNALS, 0
    found = starts_signals.signals("feed-forward", sizes, seed)
    assert found["robust"]["backward"][-1] == 1.0
    keras.utils.clear_session()
    random = np.random.default_rng(seed)
    model = start_signals.feed_forward(sizes, random)
    inputs = random.standard_normal((sizes.samples, sizes.inputs)).astype("float32")
    initializers.robust(model, seed=seed)
    # The gradient at the top is the second that is drawn.
    start_signals.signal_ratios(model, inputs, random)
    for layer in wrapped(model):
        gain = layer.gains()["kernel"]
        gain.assign(np.full(gain.shape, math.sqrt(2)))
    measured = start_signals.signal_ratios(model, inputs, random)
    for way, ratios in measured.items():
        np.testing.assert_allclose(found["√2"][way], ratios, rtol=1e-4)
    assert set(starts_signals.signals("residual", sizes, seed)) == {"robust", "1"}
