"""MSN: the mean, the running mean, the bias, and what is left of them after folding."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm.layers import MeanSpectralNorm

# Layer, shape of an input, and the axes of the output that the mean is taken over.
CASES = {
    "dense": (lambda b: layers.Dense(4, use_bias=b), (6,), (0,)),
    "one-unit": (lambda b: layers.Dense(1, use_bias=b), (6,), (0,)),
    "sequence": (lambda b: layers.Dense(4, use_bias=b), (5, 6), (0, 1)),
    "conv1d": (lambda b: layers.Conv1D(4, 3, use_bias=b), (7, 2), (0, 1)),
    "conv2d": (lambda b: layers.Conv2D(4, 3, use_bias=b), (6, 6, 2), (0, 1, 2)),
    "conv3d": (lambda b: layers.Conv3D(4, 2, use_bias=b), (3, 3, 3, 2), (0, 1, 2, 3)),
    "transposed": (lambda b: layers.Conv2DTranspose(4, 3, use_bias=b), (4, 4, 2), (0, 1, 2)),
    "depthwise": (
        lambda b: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=b), (6, 6, 2), (0, 1, 2),
    ),
    "separable": (lambda b: layers.SeparableConv2D(4, 3, use_bias=b), (6, 6, 2), (0, 1, 2)),
    "einsum": (
        lambda b: layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de" if b else None),
        (4, 6), (0, 1),
    ),
    "einsum-partly": (
        lambda b: layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="e"), (4, 6),
        (0, 1, 2),
    ),
    "einsum-first": (
        lambda b: layers.EinsumDense("abc,cd->adb", (4, 5), bias_axes="d" if b else None),
        (5, 6), (0, 2),
    ),
    "steps": (
        lambda b: layers.TimeDistributed(layers.Conv1D(4, 3, use_bias=b)), (3, 7, 2), (0, 1, 2),
    ),
}  # fmt: skip

cases = pytest.mark.parametrize("name", CASES)
with_or_without_bias = pytest.mark.parametrize("use_bias", [True, False])


def built(name, use_bias=True, **options):
    make, shape, axes = CASES[name]
    layer = MeanSpectralNorm(make(use_bias), **options)
    layer.build((None, *shape))
    return layer, tools.random(6, *shape, seed=5) + 1.0, axes


# What Keras says of a convolution that is given a mask.
passes_no_mask_on = pytest.mark.filterwarnings("ignore:.*does not support masking:UserWarning")


def bias_of(layer):
    (bias,) = [variable for variable in layer.trainable_variables if variable.name == "bias"]
    bias.assign(tools.random(*bias.shape, seed=3))
    return bias


def outputs_without_mean(layer, inputs):
    """The plain layer with the effective kernels and no bias."""
    wrapper = tfspecnorm.layers.SpectralNorm(
        type(layer.layer).from_config(layer.layer.get_config())
    )
    wrapper.build((None, *inputs.shape[1:]))
    for new, old in zip(wrapper.kernels, layer.kernels, strict=True):
        new.variable.assign(tools.array(old.variable))
    wrapper.restart()
    return tools.array(wrapper(inputs))


@cases
@with_or_without_bias
def test_mean_of_each_channel_is_its_bias_in_training(name, use_bias):
    layer, inputs, axes = built(name, use_bias)
    bias = tools.array(bias_of(layer))
    outputs = tools.array(layer(inputs, training=True))
    mean = outputs.mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(mean.reshape(bias.shape), bias, atol=1e-5)
    plain = outputs_without_mean(layer, inputs)
    plain = plain - plain.mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(outputs - mean, plain, atol=1e-5)


@cases
@with_or_without_bias
def test_evaluation_uses_the_running_mean(name, use_bias):
    layer, inputs, axes = built(name, use_bias, momentum=0.8)
    bias = tools.array(bias_of(layer))
    running = np.zeros(bias.shape)
    for step in range(3):
        batch = inputs * (1 + step)
        layer(batch, training=True)
        mean = outputs_without_mean(layer, batch).mean(axis=axes)
        running = 0.8 * running + 0.2 * mean.reshape(bias.shape)
    np.testing.assert_allclose(tools.array(layer.moving_mean), running, atol=1e-5)
    expected = outputs_without_mean(layer, inputs)
    position = [slice(None) if axis not in axes else None for axis in range(expected.ndim)]
    shift = (bias - running).reshape([n for i, n in enumerate(expected.shape) if i not in axes])
    np.testing.assert_allclose(
        tools.array(layer(inputs)), expected + shift[tuple(position)], atol=1e-5
    )


@cases
@with_or_without_bias
def test_folds_into_a_plain_layer_with_a_bias(name, use_bias):
    layer, inputs, _ = built(name, use_bias)
    bias_of(layer)
    model = keras.Sequential([keras.Input(CASES[name][1]), layer])
    model(inputs, training=True)
    plain = tfspecnorm.fold(model)
    assert [variable.name for variable in plain.weights][-1] == "bias"
    np.testing.assert_allclose(tools.array(plain(inputs)), tools.array(model(inputs)), atol=1e-5)
    assert plain.count_params() == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@cases
@with_or_without_bias
def test_one_bias_for_each_channel_and_no_other_parameter(name, use_bias):
    layer, _, _ = built(name, use_bias)
    names = [variable.name for variable in layer.trainable_variables]
    assert sorted(names) == sorted([*(k.variable.name for k in layer.kernels), "bias"])
    assert len(layer.non_trainable_variables) >= 1


@pytest.mark.skipif(tools.BACKEND == "tensorflow", reason="no such convolution on a CPU")
def test_channels_first():
    layer = MeanSpectralNorm(layers.Conv2D(4, 3, data_format="channels_first"))
    outputs = tools.array(layer(tools.random(3, 2, 7, 6), training=True))
    np.testing.assert_allclose(outputs.mean(axis=(0, 2, 3)), 0.0, atol=1e-5)
    assert layer.moving_mean.shape == (4,)


def test_gradient_flows_through_the_mean():
    """A sum over the batch is fixed by the bias: no gradient reaches the kernel."""
    layer, inputs, _ = built("conv2d")
    variables = layer.trainable_variables
    weights = np.arange(1.0, 5.0, dtype="float32")

    def loss():
        return ops.sum(layer(inputs, training=True) * ops.convert_to_tensor(weights))

    found = tools.gradients(loss, variables)
    for variable, gradient in zip(variables, found, strict=True):
        expected = weights * 6 * 16 if variable.name == "bias" else np.zeros(variable.shape)
        np.testing.assert_allclose(gradient, expected, atol=1e-2 if variable.name != "bias" else 0)


def test_gradient_is_orthogonal_to_the_kernel():
    layer, inputs, _ = built("conv2d")
    kernel = layer.layer.kernel
    (gradient,) = tools.gradients(lambda: ops.sum(ops.sin(layer(inputs, training=True))), [kernel])
    raw = tools.array(kernel)
    product = np.sum(gradient.astype("float64") * raw)
    assert abs(product) <= 1e-5 * np.linalg.norm(gradient) * np.linalg.norm(raw)
    assert np.linalg.norm(gradient) > 1e-3


@pytest.mark.parametrize("part", ["wrapper", "layer", "model"])
def test_frozen_means_evaluation(part):
    layer, inputs, _ = built("dense")
    layer(inputs, training=True)
    model = keras.Sequential([keras.Input((6,)), layer])
    {"wrapper": layer, "layer": layer.layer, "model": model}[part].trainable = False
    before = [tools.array(variable).copy() for variable in layer.variables]
    frozen = tools.array(model(inputs, training=True))
    np.testing.assert_array_equal(frozen, tools.array(model(inputs)))
    for old, variable in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(tools.array(variable), old)


def test_masked_steps_do_not_count():
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 7]], "int32")
    embedding = layers.Embedding(8, 5, mask_zero=True)
    layer = MeanSpectralNorm(layers.Dense(3))
    hidden = embedding(ids)
    outputs = tools.array(layer(hidden, training=True))
    np.testing.assert_allclose(outputs[ids > 0].mean(axis=0), 0.0, atol=1e-6)
    assert np.abs(outputs.reshape(-1, 3).mean(axis=0)).max() > 1e-3
    model = keras.Sequential([embedding, layer])
    np.testing.assert_allclose(tools.array(model(ids, training=True)), outputs, atol=1e-6)


@passes_no_mask_on
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels", [3, 6])
def test_masked_steps_of_a_convolution(data_format, channels):
    if tools.BACKEND == "tensorflow" and data_format == "channels_first":
        pytest.skip("no such convolution on a CPU")
    layer = MeanSpectralNorm(layers.Conv1D(channels, 3, padding="same", data_format=data_format))
    mask = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], bool)
    inputs = tools.random(2, 6, 4)
    inputs = inputs if data_format == "channels_last" else inputs.transpose(0, 2, 1)
    outputs = tools.array(layer(inputs, training=True, mask=mask))
    outputs = outputs if data_format == "channels_last" else outputs.transpose(0, 2, 1)
    np.testing.assert_allclose(outputs[mask].mean(axis=0), 0.0, atol=1e-6)


@passes_no_mask_on
@pytest.mark.parametrize("options", [{"strides": 2, "padding": "same"}, {"padding": "valid"}])
def test_a_mask_of_other_steps_is_ignored(options):
    layer = MeanSpectralNorm(layers.Conv1D(4, 3, **options))
    mask = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], bool)
    outputs = tools.array(layer(tools.random(2, 6, 4), training=True, mask=mask))
    np.testing.assert_allclose(outputs.mean(axis=(0, 1)), 0.0, atol=1e-6)


@passes_no_mask_on
def test_masked_sequences_of_unknown_length():
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20, 4, mask_zero=True),
            MeanSpectralNorm(layers.Conv1D(5, 3)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    for length in (6, 9):
        ids = np.random.default_rng(0).integers(0, 20, (4, length)).astype("int32")
        assert np.isfinite(model.train_on_batch(ids, np.ones((4, 1))))


def test_everything_masked():
    layer = MeanSpectralNorm(layers.Dense(3))
    inputs = tools.random(2, 4, 5)
    layer(inputs, training=True)
    before = tools.array(layer.moving_mean).copy()
    mask = ops.convert_to_tensor(np.zeros((2, 4), bool))
    outputs = layer(inputs, training=True, mask=mask)
    assert np.all(np.isfinite(tools.array(outputs)))
    np.testing.assert_array_equal(tools.array(layer.moving_mean), before)


def test_masked_layer_is_saved_wrapped_and_folded(tmp_path):
    """The mask is an argument of the call, and the plain layer takes none."""
    inputs = keras.Input((4,), dtype="int32")
    hidden = layers.Embedding(8, 5, mask_zero=True)(inputs)
    outputs = layers.LSTM(2)(MeanSpectralNorm(layers.Dense(3))(hidden))
    model = keras.Model(inputs, outputs)
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0]], "int32")
    model(ids, training=True)
    model.save(tmp_path / "model.keras")
    expected = tools.array(model(ids))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tools.array(loaded(ids)), expected)
    plain = tfspecnorm.fold(loaded)
    np.testing.assert_allclose(tools.array(plain(ids)), expected, atol=1e-6)


def test_a_batch_that_is_not_finite_leaves_the_running_mean():
    layer, inputs, _ = built("dense")
    layer(inputs, training=True)
    before = tools.array(layer.moving_mean).copy()
    outputs = layer(np.full((2, 6), np.nan, "float32"), training=True)
    assert not np.any(np.isfinite(tools.array(outputs)))
    np.testing.assert_array_equal(tools.array(layer.moving_mean), before)


def test_mean_of_half_precision_outputs_has_32_bits():
    layer = MeanSpectralNorm(layers.Dense(3), dtype="mixed_bfloat16")
    inputs = np.full((4096, 2), 1.0, "float32")
    layer(inputs, training=True)
    assert keras.backend.standardize_dtype(layer.moving_mean.dtype) == "float32"
    kernel = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(
        tools.array(layer.moving_mean), 0.1 * kernel.sum(axis=0), rtol=0.01, atol=1e-3
    )


def test_restart_forgets_the_running_mean_and_a_created_bias():
    layer, inputs, _ = built("dense", use_bias=False)
    bias = bias_of(layer)
    layer(inputs, training=True)
    layer.restart()
    np.testing.assert_array_equal(tools.array(layer.moving_mean), 0.0)
    np.testing.assert_array_equal(tools.array(bias), 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(4, activation="relu"), "no activation.*activation='relu'"),
        (
            lambda: layers.TimeDistributed(layers.Dense(4, activation="tanh")),
            "no activation.*TimeDistributed.*activation='tanh'",
        ),
        (
            lambda: layers.Dense(4, activity_regularizer="l2"),
            "no `activity_regularizer`.*ActivityRegularization.*Received: layer=Dense",
        ),
        (lambda: layers.Embedding(4, 3), "add one bias.*Received: layer=Embedding"),
        (lambda: layers.LSTM(4), "add one bias.*Received: layer=LSTM"),
    ],
)
def test_refused_layer(make, message):
    with pytest.raises(ValueError, match=f"Argument `layer` must .*{message}"):
        MeanSpectralNorm(make())


@pytest.mark.parametrize("momentum", [-0.1, 1.0, "0.9", None, True, float("nan")])
def test_bad_momentum(momentum):
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\).*Received"):
        MeanSpectralNorm(layers.Dense(4), momentum=momentum)


@pytest.mark.skipif(tools.BACKEND != "torch", reason="the other backends can")
def test_synchronized_on_pytorch():
    with pytest.raises(ValueError, match="`synchronized` must be `False` on PyTorch"):
        MeanSpectralNorm(layers.Dense(4), synchronized=True)


@pytest.mark.skipif(tools.BACKEND == "torch", reason="Keras on PyTorch cannot")
def test_synchronized_on_one_device_is_the_same():
    found = []
    for synchronized in (False, True):
        keras.utils.set_random_seed(0)
        layer, inputs, _ = built("conv2d", synchronized=synchronized)
        found.append(tools.array(layer(inputs, training=True)))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_config():
    layer = MeanSpectralNorm(
        layers.Dense(4), 3, momentum=0.5, norm="bidirectional", jit_compile=False, scale=2, name="m"
    )
    config = layer.get_config()
    assert {"bound", "per_gate"}.isdisjoint(config)
    again = MeanSpectralNorm.from_config(dict(config))
    assert again.get_config() == config
    assert (again.momentum, again.power_iterations, again.scale.value) == (0.5, 3, 2.0)


@pytest.mark.parametrize("training", [True, False])
def test_scale_multiplies_what_is_around_the_mean(training):
    inputs = tools.random(16, 5)
    plain = MeanSpectralNorm(layers.Dense(4), momentum=0.5)
    scaled = MeanSpectralNorm(layers.Dense(4), momentum=0.5, scale=3)
    for layer in (plain, scaled):
        layer.build(inputs.shape)
        layer.layer.set_weights([tools.random(5, 4, seed=1), tools.random(4, seed=2)])
        layer.warm_up()
        # The running mean is that of this batch.
        for _ in range(30):
            layer(inputs, training=True)
    bias = tools.random(4, seed=2)
    expected = 3 * (tools.array(plain(inputs, training=training)) - bias) + bias
    found = tools.array(scaled(inputs, training=training))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    folded = tfspecnorm.fold(keras.Sequential([keras.Input((5,)), scaled]))
    evaluated = tools.array(scaled(inputs, training=False))
    np.testing.assert_allclose(tools.array(folded(inputs)), evaluated, atol=1e-5)
