"""A model that measures its kernels at once computes what its layers compute one by one."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import tfspecnorm
from tests import tools
from tfspecnorm import layers, norms
from tfspecnorm.layers import _shared_kernels, scales
from tfspecnorm.surgery.group import is_grouped

WRAPPERS = {
    "spectral": layers.SpectralNorm,
    "two iterations": functools.partial(layers.SpectralNorm, power_iterations=2),
    "bound": functools.partial(layers.SpectralNorm, bound=0.5),
    "learned": lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()),
    "bidirectional": layers.BidirectionalSpectralNorm,
    "mean": layers.MeanSpectralNorm,
    "compiled": functools.partial(layers.SpectralNorm, norm="matrix", jit_compile=True),
}


def network(wrap):
    """Kernels of many kinds: dense, convolution, strided, grouped, depthwise, transposed."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 4))
    for layer in (
        keras.layers.Conv2D(6, 3, padding="same"),
        keras.layers.DepthwiseConv2D(3, padding="same"),
        keras.layers.DepthwiseConv2D(3, strides=2, padding="same"),
        keras.layers.DepthwiseConv2D(3, padding="same"),
        keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        keras.layers.Conv2D(6, 1, groups=3),
        keras.layers.SeparableConv2D(5, 3, padding="same"),
        keras.layers.Conv2DTranspose(4, 3, strides=2),
        keras.layers.DepthwiseConv2D(2),
    ):
        x = keras.layers.ReLU()(wrap(layer)(x))
    x = wrap(keras.layers.Dense(7))(keras.layers.Flatten()(x))
    return keras.Model(inputs, wrap(keras.layers.Dense(3))(x))


def disturbed(model):
    """Kernels away from where their vectors have converged."""
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        value = ops.convert_to_numpy(variable.value)
        noise = random.standard_normal(value.shape).astype(value.dtype)
        variable.assign(value + 0.5 * (np.std(value) + 0.1) * noise)
    return model


def trained(model, steps=2):
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    images, targets = tools.random(16, 8, 8, 4), tools.random(16, 3, seed=1)
    for _ in range(steps):
        model.train_on_batch(images, targets)
    return [ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.mark.parametrize("kind", tools.quick(WRAPPERS, ["spectral", "bidirectional", "mean"]))
def test_trains_as_layer_by_layer(kind):
    model, together = (disturbed(network(WRAPPERS[kind])) for _ in range(2))
    start = model.get_weights()
    assert tfspecnorm.group(together) is together
    images = tools.random(5, 8, 8, 4)
    np.testing.assert_allclose(
        together.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5
    )
    found = trained(together)
    assert any(np.abs(new - old).max() > 1e-4 for new, old in zip(found, start, strict=True))
    model.set_weights(start)
    for new, wanted, old in zip(found, trained(model), start, strict=True):
        np.testing.assert_allclose(new - old, wanted - old, atol=1e-5)


def test_each_measurement_equals_its_own():
    """Kernels of all scales side by side, some of zeros, one not finite."""
    tasks = []
    for number, (norm, linear_map) in enumerate(
        [
            (norms.Matrix(), norms.dense((5, 3))),
            (norms.Matrix(), norms.convolution((3, 3, 2, 4))),
            (norms.Matrix(), norms.dense((1, 1))),
            (norms.Matrix(), norms.convolution((3, 3, 2, 4), groups=2)),
            (norms.Bidirectional(), norms.convolution((3, 3, 2, 4))),
            *((norms.Fourier(), _depthwise(channels, size)) for channels in (1, 4, 7)
              for size in (7, None)),
            (norms.Gram(3), _depthwise(4, 7)),
        ]
    ):  # fmt: skip
        for scale in (1.0, 1e30, 1e-30, 0.0, np.nan):
            kernel = scale * tools.random(*linear_map.kernel_shape, seed=number)
            kernel = kernel.astype("float32")
            state = norm.state_shapes(linear_map)
            state = {name: tools.random(*shape, seed=2) for name, shape in state.items()}
            state = {
                name: ops.convert_to_tensor(
                    value / np.linalg.norm(value, axis=-1, keepdims=True), "float32"
                )
                for name, value in state.items()
            }
            tensor = ops.convert_to_tensor(kernel)
            tasks.append(norms.Task(norm, tensor, state, linear_map, 1))
    for task, found in zip(tasks, norms.measure_together(tasks), strict=True):
        wanted = task.alone()
        sigma = tools.array(wanted.sigma)
        np.testing.assert_allclose(tools.array(found.sigma), sigma, rtol=1e-5)
        assert set(found.state) == set(wanted.state)
        for name, value in wanted.state.items():
            np.testing.assert_allclose(
                tools.array(found.state[name]), tools.array(value), atol=1e-5
            )
        if np.isfinite(sigma) and wanted.direction is not None:
            directions = [
                sum(tools.array(part.kernel(*part.factors)) for part in each.direction)
                for each in (found, wanted)
            ]
            np.testing.assert_allclose(*directions, atol=1e-5)


def _depthwise(channels, size):
    return norms.depthwise_convolution((3, 3, channels, 1), norms.window(2, input_size=size))


def test_frozen_layers_and_modes_of_the_call_are_respected():
    model = disturbed(network(layers.SpectralNorm))
    frozen, moving = model.layers[1], model.layers[-1]
    frozen.trainable = False
    before = [tools.array(layer.kernel_vector_u) for layer in (frozen, moving)]
    together = tfspecnorm.group(model)
    together(tools.random(2, 8, 8, 4), training=False)
    for layer, old in zip((frozen, moving), before, strict=True):
        np.testing.assert_array_equal(tools.array(layer.kernel_vector_u), old)
    together(tools.random(2, 8, 8, 4), training=True)
    np.testing.assert_array_equal(tools.array(frozen.kernel_vector_u), before[0])
    assert np.abs(tools.array(moving.kernel_vector_u) - before[1]).max() > 1e-4


def test_layers_called_by_themselves_measure_for_themselves():
    model = disturbed(network(layers.SpectralNorm))
    together = tfspecnorm.group(model)
    together(tools.random(2, 8, 8, 4))
    head = together.layers[-1]
    head.layer.kernel.assign(2.0 * head.layer.kernel)
    x = tools.random(2, 7)
    kernel = tools.array(head.effective_kernels()["kernel"])
    wanted = x @ kernel + tools.array(head.layer.bias)
    np.testing.assert_allclose(tools.array(head(x)), wanted, atol=1e-5)


def test_saved_folded_and_reported_as_any_other_model(tmp_path):
    together = tfspecnorm.group(disturbed(network(layers.SpectralNorm)))
    images = tools.random(3, 8, 8, 4)
    wanted = together.predict(images, verbose=0)
    together.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(together)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), wanted, atol=1e-6)
    plain = tfspecnorm.fold(loaded)
    assert type(plain).__module__.startswith("keras.")
    np.testing.assert_allclose(plain.predict(images, verbose=0), wanted, atol=1e-5)
    records = tfspecnorm.spectral_report(loaded)
    assert len(records) == len(tfspecnorm.spectral_report(network(layers.SpectralNorm)))


def test_wrap_groups():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    together = tfspecnorm.wrap(model, layers.SpectralNorm, grouped=True)
    alone = tfspecnorm.wrap(model, layers.SpectralNorm)
    assert is_grouped(together) and not is_grouped(alone)
    assert type(together) is type(alone)
    x = tools.random(5, 4)
    np.testing.assert_allclose(
        together.predict(x, verbose=0), alone.predict(x, verbose=0), atol=1e-6
    )
    again = tfspecnorm.group(keras.models.clone_model(together))
    again.set_weights(together.get_weights())
    np.testing.assert_allclose(again.predict(x, verbose=0), together.predict(x, verbose=0))


def test_what_cannot_be_grouped_is_refused():
    inputs = [keras.Input((4,)), keras.layers.Dense(3)]
    with pytest.raises(ValueError, match="Argument `model` must have layers wrapped"):
        tfspecnorm.group(keras.Sequential(inputs))


def test_a_subclassed_model_keeps_its_class_and_is_measured_at_once(monkeypatch):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.SpectralNorm(keras.layers.Dense(3))
            self.second = layers.SpectralNorm(keras.layers.Dense(2))

        def call(self, inputs):
            return self.second(self.first(inputs))

    model, x = Own(), tools.random(5, 4)
    wanted = tools.array(model(x))
    calls, together = [], norms.measure_together
    monkeypatch.setattr(
        _shared_kernels,
        "measure_together",
        lambda tasks: calls.append(len(tasks)) or together(tasks),
    )
    found = tools.array(tfspecnorm.group(model)(x))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert calls == [2] and type(model) is Own
