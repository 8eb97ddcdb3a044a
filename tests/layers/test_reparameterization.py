"""What the mechanism promises, whatever the normalization is."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tfspecnorm import kernels, scales
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.norms import LinearMap


def values(layer):
    return [tools.array(variable).copy() for variable in layer.weights]


def test_training_calls_leave_the_kernel_bit_identical():
    layer = SpectralNorm(layers.Conv2D(4, 3))
    inputs = tools.random(2, 6, 6, 3)
    layer(inputs)
    layer.layer.kernel.assign(tools.random(3, 3, 3, 4))
    raw, before = tools.array(layer.layer.kernel).copy(), values(layer)
    for _ in range(5):
        layer(inputs, training=True)
    np.testing.assert_array_equal(tools.array(layer.layer.kernel), raw)
    moved = [
        variable.name
        for variable, old in zip(layer.weights, before, strict=True)
        if not np.array_equal(tools.array(variable), old)
    ]
    assert set(moved) == {"vector_u", "vector_v"}


def test_evaluation_changes_nothing():
    layer = SpectralNorm(layers.Dense(4))
    inputs = tools.random(2, 6)
    layer(inputs)
    layer.layer.kernel.assign(tools.random(6, 4))
    before = values(layer)
    first, second = layer(inputs), layer(inputs, training=False)
    np.testing.assert_array_equal(tools.array(first), tools.array(second))
    for old, new in zip(before, values(layer), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("part", ["wrapper", "layer", "model"])
def test_frozen_layer_moves_nothing(part):
    layer = SpectralNorm(layers.Dense(4))
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.layer.kernel.assign(tools.random(6, 4))
    {"wrapper": layer, "layer": layer.layer, "model": model}[part].trainable = False
    before = values(model)
    model(tools.random(2, 6), training=True)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_predict_after_fit_is_the_training_output():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            SpectralNorm(layers.Conv2D(4, 3, activation="relu"), power_iterations=20),
            layers.Flatten(),
            SpectralNorm(layers.Dense(3), power_iterations=20),
        ]
    )
    inputs, targets = tools.random(16, 8, 8, 2), tools.random(16, 3, seed=1)
    tools.fit_steps(model, inputs, targets, epochs=10)
    before = [tools.array(v) for v in model.trainable_variables]
    tools.fit_steps(model, inputs, targets, epochs=15, learning_rate=0.0)
    for old, new in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, tools.array(new))
    predicted = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(tools.array(model(inputs)), predicted, atol=1e-4)
    np.testing.assert_allclose(tools.array(model(inputs, training=True)), predicted, atol=1e-4)


@pytest.mark.parametrize("built_by", ["input", "predict", "fit"])
def test_normalized_before_any_training(built_by):
    wide = keras.initializers.RandomNormal(stddev=3.0, seed=0)
    stack = [SpectralNorm(layers.Dense(n, kernel_initializer=wide)) for n in (80, 40)]
    start = [keras.Input((100,))] if built_by == "input" else []
    model = keras.Sequential([*start, *stack])
    inputs = tools.random(4, 100)
    if built_by == "fit":
        tools.fit_steps(model, inputs, tools.random(4, 40), learning_rate=0.0)
    model.predict(inputs, verbose=0)
    for layer in stack:
        effective = tools.array(layer.effective_kernels()["kernel"])
        assert 0.9 <= np.linalg.norm(effective, 2) <= 1.1


def test_discriminator_called_twice_in_a_step_has_one_weight():
    layer = SpectralNorm(layers.Dense(1))
    real, fake = tools.random(4, 6), tools.random(4, 6, seed=1)
    layer(real)
    raw = tools.array(layer.layer.kernel).copy()

    def loss():
        return ops.mean(layer(real, training=True)) - ops.mean(layer(fake, training=True))

    (gradient,) = tools.gradients(loss, [layer.layer.kernel])
    np.testing.assert_array_equal(tools.array(layer.layer.kernel), raw)
    assert abs(np.sum(gradient * raw)) <= 1e-5 * np.linalg.norm(gradient) * np.linalg.norm(raw)


def test_evaluation_gradient_survives_a_training_call():
    """A stored vector that is updated in place must not reach an older gradient."""
    layer = SpectralNorm(layers.Dense(3))
    inputs = tools.random(4, 6)
    layer(inputs)
    layer.layer.kernel.assign(tools.random(6, 3))

    def loss():
        first = ops.sum(layer(inputs, training=False))
        layer(inputs, training=True)
        return first

    def alone():
        return ops.sum(layer(inputs, training=False))

    (expected,) = tools.gradients(alone, [layer.layer.kernel])
    (found,) = tools.gradients(loss, [layer.layer.kernel])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bias_and_other_weights_get_their_gradients():
    layer = SpectralNorm(layers.Dense(3))
    inputs = tools.random(4, 6)
    layer(inputs)
    (gradient,) = tools.gradients(lambda: ops.sum(layer(inputs)), [layer.layer.bias])
    np.testing.assert_allclose(gradient, np.full(3, 4.0), rtol=1e-6)


def test_embedding_of_integers():
    layer = SpectralNorm(layers.Embedding(20, 6))
    ids = np.array([[1, 2, 3], [4, 5, 1]])
    outputs = layer(ids)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    effective = tools.array(layer.effective_kernels()["embeddings"])
    np.testing.assert_allclose(tools.array(outputs), effective[ids], atol=1e-6)
    (gradient,) = tools.gradients(lambda: ops.sum(ops.sin(layer(ids))), [layer.layer.embeddings])
    assert gradient.shape == (20, 6)
    assert np.abs(gradient[ids.ravel()]).min(axis=0).max() > 0
    assert tools.array(layer(np.array([[1, 2, 3, 4, 5]]))).shape == (1, 5, 6)


def test_mask_of_an_embedding_passes():
    layer = SpectralNorm(layers.Embedding(20, 6, mask_zero=True))
    plain = layers.Embedding(20, 6, mask_zero=True)
    ids = np.array([[1, 2, 0], [4, 0, 0]])
    mask = tools.array(layer.compute_mask(ids))
    np.testing.assert_array_equal(mask, tools.array(plain.compute_mask(ids)))
    found = tools.array(layers.GlobalAveragePooling1D()(layer(ids)))
    effective = tools.array(layer.effective_kernels()["embeddings"])
    expected = np.stack([effective[[1, 2]].mean(0), effective[[4]].mean(0)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_mask_passes_through_a_dense_layer():
    inputs = keras.Input((4,), dtype="int32")
    hidden = layers.Embedding(20, 6, mask_zero=True)(inputs)
    outputs = layers.GlobalAveragePooling1D()(SpectralNorm(layers.Dense(3))(hidden))
    model = keras.Model(inputs, outputs)
    short = model.predict(np.array([[1, 2, 0, 0]]), verbose=0)
    longer = model.predict(np.array([[1, 2, 2, 2]]), verbose=0)
    exact = tools.array(model.layers[-2](model.layers[1](np.array([[1, 2]])))).mean(axis=1)
    np.testing.assert_allclose(short, exact, atol=1e-6)
    assert np.abs(short - longer).max() > 1e-3


def test_changing_widths_in_channels_first():
    layer = SpectralNorm(layers.Conv2D(4, 3, data_format="channels_first"))
    inputs = keras.Input((2, None, None))
    model = keras.Model(inputs, layer(inputs))
    for size in ((6, 6), (5, 9)):
        found = tools.array(model(tools.random(1, 2, *size)))
        assert found.shape == (1, 4, size[0] - 2, size[1] - 2)


def test_dense_on_inputs_of_any_rank():
    layer = SpectralNorm(layers.Dense(4))
    effective = None
    for shape in ((2, 6), (2, 3, 6), (2, 3, 5, 6)):
        inputs = tools.random(*shape)
        outputs = tools.array(layer(inputs))
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(outputs, inputs @ effective, atol=1e-5)


# Keras 3.14 takes losses of activities as means over the batch.
@pytest.mark.newest_keras
def test_losses_of_the_wrapped_layer_count_once():
    def built(wrapper):
        regularizer = keras.regularizers.L2(0.1)
        inner = layers.Dense(
            4,
            kernel_regularizer=regularizer,
            activity_regularizer=regularizer,
            kernel_initializer="ones",
        )
        model = keras.Sequential([keras.Input((6,)), wrapper(inner), wrapper(layers.Dense(1))])
        return model, inner

    inputs = np.ones((2, 6), "float32")
    model, inner = built(SpectralNorm)
    hidden = tools.array(model.layers[0](inputs))
    model(inputs)
    expected = sorted([0.1 * 24, 0.1 * np.sum(hidden**2) / 2])
    np.testing.assert_allclose(sorted(float(tools.array(x)) for x in model.losses), expected, 1e-5)
    # In a compiled training step, where the backend may collect losses in a scope of its own.
    model.compile(keras.optimizers.SGD(0.0), "mse")
    targets = np.zeros((2, 1), "float32")
    plain_loss = float(np.mean(tools.array(model(inputs)) ** 2))
    found = model.evaluate(inputs, targets, verbose=0, batch_size=2)
    np.testing.assert_allclose(found, plain_loss + sum(expected), rtol=1e-5)
    history = model.fit(inputs, targets, verbose=0, batch_size=2)
    np.testing.assert_allclose(history.history["loss"][0], plain_loss + sum(expected), rtol=1e-4)
    assert inner.kernel.regularizer is not None


@keras.saving.register_keras_serializable(package="tests")
class Counting(layers.Layer):
    """Two inputs, two kernels, an extra argument, a state of its own and a loss."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, left_shape, right_shape):
        self.left = self.add_weight(shape=(left_shape[-1], self.units), name="left")
        self.right = self.add_weight(shape=(right_shape[-1], self.units), name="right")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, left, right, flip=False, training=False):
        if training:
            self.calls.assign_add(1.0)
        outputs = ops.matmul(left, self.left) + ops.matmul(right, self.right)
        self.add_loss(ops.mean(outputs))
        return -outputs if flip else outputs

    def compute_output_shape(self, left_shape, right_shape):
        return (*left_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


kernels.register(
    Counting,
    lambda layer: [
        kernels.Kernel(name, variable, LinearMap("dense", tuple(variable.shape), (1,)))
        for name, variable in (("left", layer.left), ("right", layer.right))
    ],
)


def test_layer_of_ones_own_with_two_inputs_two_kernels_and_state():
    layer = SpectralNorm(Counting(4))
    left, right = tools.random(2, 5), tools.random(2, 3, seed=1)
    outputs = tools.array(layer(left, right))
    effective = {name: tools.array(v) for name, v in layer.effective_kernels().items()}
    np.testing.assert_allclose(np.linalg.norm(effective["left"], 2), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(effective["right"], 2), 1, rtol=1e-5)
    expected = left @ effective["left"] + right @ effective["right"]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(tools.array(layer(left, right, flip=True)), -expected, atol=1e-5)
    layer(left, right, training=True)
    assert float(tools.array(layer.layer.calls)) == 1.0
    assert len(layer.losses) == 1
    assert {v.name for v in layer.state} == {
        "left_vector_u", "left_vector_v", "right_vector_u", "right_vector_v"
    }  # fmt: skip


def test_model_with_two_inputs_trains_saves_and_loads(tmp_path):
    left, right = keras.Input((5,)), keras.Input((3,))
    model = keras.Model([left, right], SpectralNorm(Counting(4))(left, right))
    data = [tools.random(8, 5), tools.random(8, 3, seed=1)]
    model.compile("sgd", "mse")
    model.fit(data, tools.random(8, 4), epochs=2, verbose=0)
    assert float(tools.array(model.layers[-1].layer.calls)) == 2.0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), model.predict(data, verbose=0))


def test_constraint_acts_on_the_raw_kernel():
    layer = SpectralNorm(layers.Dense(4, kernel_constraint=keras.constraints.UnitNorm(axis=0)))
    model = keras.Sequential([keras.Input((6,)), layer])
    tools.fit_steps(model, tools.random(8, 6), tools.random(8, 4), epochs=2)
    lengths = np.linalg.norm(tools.array(layer.layer.kernel), axis=0)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)


def test_symbolic_call_is_the_wrapped_layers():
    outputs = SpectralNorm(layers.Conv2D(4, 3, strides=2, padding="same"))(
        keras.Input((7, None, 3))
    )
    assert outputs.shape == (None, 4, None, 4)
    with pytest.raises(ValueError, match="axis -1 of input shape|min_ndim|expected"):
        layer = SpectralNorm(layers.Dense(4))
        layer.build((None, 6))
        layer(keras.Input((5,)))


def test_each_array_is_stored_once():
    layer = SpectralNorm(layers.SeparableConv2D(4, 3), norm="matrix")
    layer(tools.random(1, 6, 6, 3))
    identities = [id(variable) for variable in layer.variables]
    assert len(identities) == len(set(identities)) == 7


def test_stateful_recurrent_layer_keeps_its_state():
    inputs = tools.random(2, 5, 3)
    layer = SpectralNorm(layers.LSTM(4, stateful=True))
    first = tools.array(layer(inputs))
    second = tools.array(layer(inputs))
    assert np.abs(first - second).max() > 1e-3
    plain = layers.LSTM(4, stateful=True)
    plain(inputs)
    effective = layer.effective_kernels()
    plain.cell.kernel.assign(tools.array(effective["kernel"]))
    plain.cell.recurrent_kernel.assign(tools.array(effective["recurrent_kernel"]))
    plain.reset_states()
    np.testing.assert_allclose(tools.array(plain(inputs)), first, atol=1e-5)
    np.testing.assert_allclose(tools.array(plain(inputs)), second, atol=1e-5)


def test_frozen_kernel_freezes_its_scale():
    inner = layers.Dense(4)
    inner.trainable = False
    layer = SpectralNorm(inner, scale=scales.Learned())
    layer(tools.random(2, 6))
    assert layer.trainable_variables == []


def test_one_frozen_kernel_of_several():
    layer = SpectralNorm(layers.MultiHeadAttention(2, 3))
    inputs = tools.random(2, 4, 6)
    layer(inputs, inputs)
    layer.layer.query_dense.trainable = False
    for kernel in kernels.kernels_of(layer.layer):
        kernel.variable.assign(tools.random(*kernel.variable.shape))
    before = {variable.name: tools.array(variable).copy() for variable in layer.state}
    layer(inputs, inputs, training=True)
    moved = {v.name for v in layer.state if not np.array_equal(tools.array(v), before[v.name])}
    assert not {name for name in moved if name.startswith("query")}
    assert {name for name in moved if name.startswith("key")}
