"""Wrappers that users write on `layers.Reparameterization`."""

import keras
import numpy as np
import pytest
from keras import ops

import tfspecnorm
from tests import tools
from tfspecnorm import layers


@keras.saving.register_keras_serializable("tests")
class Clipped(layers.Reparameterization):
    """No singular value of the matrix view is above the limit."""

    def __init__(self, layer, limit=0.5, **kwargs):
        super().__init__(layer, **kwargs)
        self.limit = limit

    def effective(self, kernel, value, training):
        left, singular, right = ops.svd(kernel.linear_map.matrix(value), full_matrices=False)
        clipped = ops.minimum(singular, self.limit)
        return kernel.linear_map.kernel(ops.matmul(left * clipped[..., None, :], right))

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


@keras.saving.register_keras_serializable("tests")
class Stretched(layers.Reparameterization):
    """A trained length times the direction of the kernel; counts its training calls."""

    def create_state(self, kernel):
        self.add_state(kernel, "length", keras.initializers.Constant(2.0), shape=())
        self.add_state(kernel, "calls", keras.initializers.Zeros(), shape=(), trainable=False)

    def effective(self, kernel, value, training):
        length, calls = (getattr(self, f"{kernel.name}_{part}") for part in ("length", "calls"))
        if training:
            self.update(calls, ops.copy(ops.convert_to_tensor(calls.value)) + 1.0)
        return ops.convert_to_tensor(length.value) * value / ops.sqrt(ops.sum(ops.square(value)))


FAMILIES = {
    "dense": ((5,), lambda: keras.layers.Dense(4)),
    "convolution": ((6, 6, 3), lambda: keras.layers.Conv2D(4, 3)),
    "separable": ((6, 6, 3), lambda: keras.layers.SeparableConv2D(4, 3)),
    "recurrent": ((4, 3), lambda: keras.layers.LSTM(4)),
}


def model_of(wrap, family):
    keras.utils.set_random_seed(0)
    shape, make = FAMILIES[family]
    inner = [wrap(make()), keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input(shape), *inner]), tools.random(8, *shape)


@pytest.mark.parametrize(
    ("wrap", "family"),
    [
        *((Stretched, family) for family in FAMILIES),
        # An orthogonal recurrent kernel has equal singular values, where SVD has no gradient.
        *((Clipped, family) for family in FAMILIES if family != "recurrent"),
    ],
)
def test_trains_is_saved_and_folds(wrap, family, tmp_path):
    model, x = model_of(wrap, family)
    before = [tools.array(v) for v in model.layers[0].trainable_variables]
    model.compile("sgd", "mse")
    model.fit(x, np.ones((len(x), 2)), epochs=2, batch_size=4, verbose=0)
    after = [tools.array(v) for v in model.layers[0].trainable_variables]
    assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before, strict=True))
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), wanted, atol=1e-6)
    plain = tfspecnorm.fold(loaded)
    assert type(plain.layers[0]) is type(model.layers[0].layer)
    np.testing.assert_allclose(plain.predict(x, verbose=0), wanted, atol=1e-5)
    assert len(tfspecnorm.spectral_report(loaded)) == len(loaded.layers[0].kernels) + 1


@pytest.mark.parametrize("family", ["dense", "convolution", "separable"])
def test_no_singular_value_is_above_the_limit(family):
    model, _ = model_of(Clipped, family)
    (wrapper, *_) = model.layers
    for kernel in wrapper.kernels:
        raw, found = (
            np.linalg.svd(kernel.linear_map.matrix(tools.array(value), np), compute_uv=False)
            for value in (kernel.variable, wrapper.effective_kernels()[kernel.name])
        )
        assert raw.max() > 0.5
        np.testing.assert_allclose(found, np.minimum(raw, 0.5), atol=1e-5)


def test_state_moves_in_training_and_starts_again():
    model, x = model_of(Stretched, "dense")
    wrapper = model.layers[0]

    def values():
        return [float(tools.array(v)) for v in (wrapper.kernel_length, wrapper.kernel_calls)]

    model(x)
    assert values() == [2.0, 0.0]
    model(x, training=True)
    with tfspecnorm.measured_once(model):
        for _ in range(3):
            model(x, training=True)
    assert values() == [2.0, 2.0]
    wrapper.trainable = False
    model(x, training=True)
    assert values() == [2.0, 2.0]
    wrapper.kernel_length.assign(3.0)
    wrapper.warm_up()
    assert values() == [3.0, 0.0]
    wrapper.restart()
    assert values() == [2.0, 0.0]


def clip(matrix, limit):
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    return left * np.minimum(singular, limit) @ right


@pytest.mark.parametrize(
    ("wrap", "oracle"),
    [
        (Stretched, lambda kernel: 2.0 * kernel / np.linalg.norm(kernel)),
        (Clipped, lambda kernel: clip(kernel, 0.5)),
        # Some singular values are below this limit, some above.
        (lambda layer: Clipped(layer, 1.8), lambda kernel: clip(kernel, 1.8)),
    ],
    ids=["stretched", "clipped", "partly clipped"],
)
@pytest.mark.skipif(tools.BACKEND == "jax", reason="float64 has to be enabled for a process")
def test_gradient_is_that_of_finite_differences(wrap, oracle):
    layer = wrap(keras.layers.Dense(3, use_bias=False, dtype="float64"))
    layer.build((None, 4))
    x, raw = tools.random(5, 4).astype("float64"), tools.random(4, 3, seed=1).astype("float64")

    def loss(kernel):
        return np.sum((x @ oracle(kernel)) ** 2)

    layer.layer.kernel.assign(raw)
    variables = [layer.layer.kernel]
    (found,) = tools.gradients(lambda: ops.sum(ops.square(layer(x, training=True))), variables)
    wanted = np.zeros_like(raw)
    for place in np.ndindex(*raw.shape):
        step = np.zeros_like(raw)
        step[place] = 1e-5
        wanted[place] = (loss(raw + step) - loss(raw - step)) / 2e-5
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("wrap", [Clipped, Stretched])
def test_mixed_precision(wrap, policy, monkeypatch):
    """`effective` gets what is stored; only its result is rounded."""
    seen, effective = [], wrap.effective

    def watched(self, kernel, value, training):
        seen.append(value)
        return effective(self, kernel, value, training)

    monkeypatch.setattr(wrap, "effective", watched)
    layer = wrap(keras.layers.Dense(6, dtype=policy))
    x = tools.random(3, 4)
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    stored = tools.array(layer.layer.kernel)
    rounded = tools.array(ops.cast(stored, policy.removeprefix("mixed_")))
    assert np.abs(rounded - stored).max() > 0
    for value in seen:
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        np.testing.assert_array_equal(tools.array(ops.stop_gradient(value)), stored)
    oracle = clip(stored, 0.5) if wrap is Clipped else 2.0 * stored / np.linalg.norm(stored)
    kernel = tools.array(ops.stop_gradient(layer.effective_kernels()["kernel"]))
    np.testing.assert_allclose(kernel, oracle, atol=1e-6)
    np.testing.assert_allclose(tools.array(ops.stop_gradient(outputs)), x @ oracle, atol=0.05)


@pytest.mark.parametrize("wrap", [Clipped, Stretched])
def test_a_file_of_weights(wrap, tmp_path):
    model, x = model_of(wrap, "dense")
    for variable in model.weights:
        variable.assign(tools.array(variable) + 0.25)
    model.save_weights(tmp_path / "model.weights.h5")
    other, _ = model_of(wrap, "dense")
    assert np.abs(other.predict(x, verbose=0) - model.predict(x, verbose=0)).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    for found, wanted in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(tools.array(found), tools.array(wanted))
    np.testing.assert_allclose(other.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="LiteRT files are made by TensorFlow")
@pytest.mark.newest_keras
@pytest.mark.parametrize(
    ("wrap", "family"),
    [(Clipped, "dense"), (Clipped, "convolution"), (Stretched, "separable")],
)
def test_litert_file_of_the_folded_model(wrap, family, tmp_path):
    model, x = model_of(wrap, family)
    plain = tfspecnorm.fold(model)
    found = tools.litert_output(plain, x[:1], tmp_path / "model.tflite")
    np.testing.assert_allclose(found, tools.array(model(x[:1])), atol=1e-5)


def test_in_a_grouped_model():
    """It computes for itself, beside wrappers that are measured at once."""
    keras.utils.set_random_seed(0)
    inner = [Stretched(keras.layers.Dense(4)), Clipped(keras.layers.Dense(4))]
    inner += [layers.SpectralNorm(keras.layers.Dense(4)) for _ in range(2)]
    model = keras.Sequential([keras.Input((5,)), *inner])
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    tfspecnorm.group(model)
    x = tools.random(3, 5)
    for training in (True, False, True):
        found, wanted = (
            tools.array(ops.stop_gradient(network(x, training=training)))
            for network in (model, twin)
        )
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    for found, wanted in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_allclose(tools.array(found), tools.array(wanted), atol=1e-5)
    assert float(tools.array(inner[0].kernel_calls)) == 2.0
