"""σ and operator norms, from training to the logs."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.callbacks.training import TARGETS, Watch, fit, read, small_model
from tests.tools import BACKEND, array, largest_singular_value
from tfspecnorm.callbacks import SpectralMonitor
from tfspecnorm.layers import SpectralNorm, WeightNorm


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_sigma_of_plain_layers_goes_to_the_history(run_eagerly):
    model = small_model()
    model.compile(keras.optimizers.SGD(0.05), "mse", run_eagerly=run_eagerly)
    watch = Watch(model.layers[0].kernel, model.layers[2].kernel)
    monitor = SpectralMonitor()
    history = fit(model, watch, monitor, epochs=3).history
    found = np.transpose([history["sigma/conv"], history["sigma/head"]])
    # Converged at first, then an estimate from below.
    np.testing.assert_allclose(found[0], watch.epochs[0], rtol=1e-5)
    np.testing.assert_allclose(found, watch.epochs, rtol=1e-2)
    assert np.all(found <= np.array(watch.epochs) * (1 + 1e-5))
    assert all(type(value) is float for value in history["sigma/conv"])
    assert set(history) == {"loss", "sigma/conv", "sigma/head"}
    assert [record["step"] for record in monitor.records] == [4, 8, 12]
    assert [record["epoch"] for record in monitor.records] == [0, 1, 2]
    assert [record["sigma/head"] for record in monitor.records] == history["sigma/head"]


# PyTorch runs step by step; Keras 3.7 tells callbacks the first step of an execution.
STEPS_PER_EXECUTION = [1] if BACKEND == "torch" or keras.__version__.startswith("3.7.") else [1, 2]


@pytest.mark.parametrize("steps_per_execution", STEPS_PER_EXECUTION)
def test_every_second_step(steps_per_execution):
    model = small_model()
    model.compile(keras.optimizers.SGD(0.05), "mse", steps_per_execution=steps_per_execution)
    watch = Watch(model.layers[0].kernel, model.layers[2].kernel)
    monitor = SpectralMonitor(every=2, power_iterations=50)
    history = fit(model, watch, monitor).history
    assert [record["step"] for record in monitor.records] == [2, 4, 6, 8]
    assert [record["epoch"] for record in monitor.records] == [0, 0, 1, 1]
    found = [[record["sigma/conv"], record["sigma/head"]] for record in monitor.records]
    np.testing.assert_allclose(
        found, watch.steps[2 // steps_per_execution - 1 :: 2 // steps_per_execution], rtol=1e-3
    )
    assert history["sigma/conv"] == [monitor.records[1]["sigma/conv"], found[3][0]]


def test_an_epoch_shorter_than_the_interval():
    monitor = SpectralMonitor(every=6)
    history = fit(small_model(), monitor).history
    assert [record["step"] for record in monitor.records] == [4, 6]
    assert len(history["sigma/conv"]) == 2


def test_wrappers_answer_with_what_they_store():
    model = tfspecnorm.wrap(small_model(), {layers.Conv2D: SpectralNorm, layers.Dense: WeightNorm})
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = fit(model, SpectralMonitor(operator_norm=True, power_iterations=50)).history
    conv, head = model.layers[0], model.layers[2]
    last = {name: values[-1] for name, values in history.items()}
    assert last["sigma/conv"] == pytest.approx(float(array(conv.sigma()["kernel"])), rel=1e-6)
    effective = largest_singular_value(array(head.effective_kernels()["kernel"]))
    assert last["sigma/head"] == pytest.approx(effective, rel=1e-3)
    assert last["operator_norm/head"] == pytest.approx(effective, rel=1e-3)


def map_norm(layer, shape):
    """Norm of what a layer computes, from its dense matrix."""
    units = np.eye(math.prod(shape), dtype="float32").reshape(-1, *shape)
    images = array(layer(units)) - array(layer(np.zeros_like(units)))
    return largest_singular_value(images.reshape(len(units), -1))


def test_operator_norm_is_that_of_the_map():
    wrapped = SpectralNorm(layers.Conv2D(3, 3, strides=2, padding="same", name="inner"), scale=0.5)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(2, 3, padding="same", name="conv"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            wrapped,
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    history = fit(model, SpectralMonitor(operator_norm=True, power_iterations=30)).history
    for layer in (model.layers[0], wrapped, model.layers[4]):
        name = layer.layer.name if layer is wrapped else layer.name
        exact = map_norm(layer, layer.input.shape[1:])
        assert history[f"operator_norm/{name}"][-1] == pytest.approx(exact, rel=1e-3)
    bound = map_norm(model.layers[1], (6, 6, 2))
    assert bound * (1 - 1e-5) < history["operator_norm/depthwise"][-1] < 1.1 * bound


def test_operator_norm_without_an_image_size_is_left_out():
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="leaves out `operator_norm`.*no fixed size: conv$"):
        history = fit(model, SpectralMonitor(operator_norm=True)).history
    assert "operator_norm/head" in history
    assert "operator_norm/conv" not in history
    assert "sigma/conv" in history


def test_weights_that_are_no_numbers(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(4, 3, groups=2, name="grouped"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            SpectralNorm(layers.Conv2D(3, 2, name="wrapped")),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    inputs = tools.random(16, 6, 6, 4)
    monitor = SpectralMonitor(
        operator_norm=True, gradients=(inputs, TARGETS), csv=tmp_path / "monitor.csv"
    )
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    monitor.on_epoch_end(0, before := {})
    kernels = [model.layers[0].kernel, model.layers[1].kernel, model.layers[2].layer.kernel]
    kernels.append(model.layers[4].kernel)
    good = [array(kernel).copy() for kernel in kernels]
    for kernel, value in zip(kernels, good, strict=True):
        spoiled = value.copy()
        spoiled[(0,) * spoiled.ndim] = np.nan
        kernel.assign(spoiled)
    monitor.on_epoch_begin(1)
    monitor.on_epoch_end(1, logs := {})
    assert all(math.isnan(value) for value in logs.values()), logs
    for kernel, value in zip(kernels, good, strict=True):
        kernel.assign(value)
    monitor.on_epoch_begin(2)
    monitor.on_epoch_end(2, after := {})
    assert after == pytest.approx(before, rel=1e-4)
    assert read(tmp_path / "monitor.csv")[1]["sigma/head"] == "nan"
