"""Rules for layer types, and the batch normalization that a wrapper replaces."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)


def learned(layer):
    return SpectralNorm(layer, scale=scales.Learned())


def types(model):
    return [type(layer).__name__ for layer in model.layers]


def randomized(model, seed=0):
    """Statistics, scales and offsets away from their start."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype == "float32":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def chain(*parts, shape=(8, 8, 4)):
    return randomized(keras.Sequential([keras.Input(shape), *parts]))


def test_a_rule_for_each_type():
    model = chain(
        layers.Conv2D(4, 3),
        layers.DepthwiseConv2D(3),
        layers.Flatten(),
        layers.Dense(3),
        layers.Dense(2, name="head"),
    )
    rules = {
        layers.Conv2D: MeanSpectralNorm,
        layers.DepthwiseConv2D: functools.partial(BidirectionalSpectralNorm, scale=1.2),
        layers.Dense: lambda layer: layer if layer.name == "head" else WeightNorm(layer),
    }
    wrapped = tfspecnorm.wrap(model, rules)
    assert types(wrapped) == [
        "MeanSpectralNorm", "BidirectionalSpectralNorm", "Flatten", "WeightNorm", "Dense",
    ]  # fmt: skip
    del rules[layers.DepthwiseConv2D]
    assert types(tfspecnorm.wrap(model, {**rules, layers.Dense: None}))[1:] == [
        "DepthwiseConv2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip


def test_the_nearest_base_class_decides():
    class Special(layers.Dense):
        pass

    model = chain(layers.Dense(3), Special(2), shape=(4,))
    wrapped = tfspecnorm.wrap(model, {layers.Dense: SpectralNorm, Special: WeightNorm})
    assert types(wrapped) == ["SpectralNorm", "WeightNorm"]
    assert types(tfspecnorm.wrap(model, {layers.Layer: SpectralNorm})) == ["SpectralNorm"] * 2


def test_a_rule_for_a_layer_inside_another():
    """Without a rule for the outer layer the inner one is looked at."""
    model = chain(layers.TimeDistributed(layers.Dense(3)), shape=(5, 4))
    assert types(tfspecnorm.wrap(model, {layers.Dense: SpectralNorm})) == ["TimeDistributed"]
    assert types(tfspecnorm.wrap(model, {layers.TimeDistributed: SpectralNorm})) == ["SpectralNorm"]


@pytest.mark.parametrize(
    "wrapper",
    [None, {}, "spectral", {"Dense": SpectralNorm}, {layers.Dense: 3}, {int: SpectralNorm}],
)
def test_bad_rule(wrapper):
    with pytest.raises(ValueError, match="`wrapper` must be a wrapper.*Received: wrapper="):
        tfspecnorm.wrap(chain(layers.Dense(3), shape=(4,)), wrapper)


FOLLOWED = {
    "conv2d": [layers.Conv2D(5, 3, use_bias=False), layers.BatchNormalization()],
    "bias": [layers.Conv2D(5, 3), layers.BatchNormalization()],
    "no-scale": [layers.Conv2D(5, 3), layers.BatchNormalization(scale=False, epsilon=0.1)],
    "no-center": [layers.Conv2D(5, 3, use_bias=False), layers.BatchNormalization(center=False)],
    "grouped": [layers.Conv2D(6, 3, groups=2), layers.BatchNormalization()],
    "transposed": [layers.Conv2DTranspose(3, 3, strides=2), layers.BatchNormalization()],
    "depthwise": [layers.DepthwiseConv2D(3, depth_multiplier=2), layers.BatchNormalization()],
    "separable": [layers.SeparableConv2D(5, 3), layers.BatchNormalization()],
    "dense": [layers.Flatten(), layers.Dense(5), layers.BatchNormalization()],
    "einsum": [layers.EinsumDense("abcd,de->abce", (8, 8, 5)), layers.BatchNormalization()],
    "steps": [layers.TimeDistributed(layers.Conv1D(5, 3)), layers.BatchNormalization()],
}


@pytest.mark.parametrize("keeps_function", [learned, WeightNorm], ids=["learned", "weight"])
@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize(
    "functional", tools.quick([True, False], [True]), ids=["functional", "sequential"]
)
def test_merged_batch_normalization_keeps_the_function(name, keeps_function, functional):
    parts = [type(part).from_config(part.get_config()) for part in FOLLOWED[name]]
    model = chain(*parts, layers.ReLU())
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    inputs = tools.random(3, 8, 8, 4)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, keeps_function, remove_batch_normalization=True)
    assert "BatchNormalization" not in types(wrapped)
    size = np.abs(expected).max()
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5 * size)
    plain = tfspecnorm.fold(wrapped)
    assert "BatchNormalization" not in types(plain)
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5 * size)


@pytest.mark.slow
def test_mobilenet_without_batch_normalization():
    model = randomized(
        keras.applications.MobileNetV2(
            weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10
        )
    )
    wrapped = tfspecnorm.wrap(model, SpectralNorm, remove_batch_normalization=True)
    assert len(wrapped.layers) == len(model.layers) - 52
    assert "BatchNormalization" not in types(wrapped)
    plain = tfspecnorm.fold(wrapped)
    inputs = tools.random(2, 32, 32, 3)
    np.testing.assert_allclose(tools.array(plain(inputs)), tools.array(wrapped(inputs)), atol=1e-6)


def test_mean_spectral_norm_takes_the_place_of_batch_normalization(tmp_path):
    model = chain(
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3),
    )
    rules = {layers.Conv2D: MeanSpectralNorm, layers.Dense: SpectralNorm}
    wrapped = tfspecnorm.wrap(model, rules, remove_batch_normalization=True)
    assert types(wrapped) == ["MeanSpectralNorm", "ReLU", "Flatten", "SpectralNorm"]
    trainable = [tuple(variable.shape) for variable in wrapped.trainable_variables]
    assert trainable == [(3, 3, 4, 4), (4,), (144, 3), (3,)]
    tools.fit_steps(wrapped, tools.random(8, 8, 8, 4), tools.random(8, 3), epochs=3)
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = tools.random(2, 8, 8, 4)
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(wrapped(inputs)))


def test_batch_normalization_that_does_not_follow_directly_stays():
    inputs = keras.Input((8, 8, 4))
    active = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    active = layers.BatchNormalization(name="after_activation")(active)
    twice = layers.Conv2D(4, 3, padding="same")(active)
    other = layers.BatchNormalization(name="of_one_branch")(twice)
    shared = layers.BatchNormalization(name="shared")
    outputs = shared(layers.Conv2D(4, 1)(other)) + shared(twice)
    outputs = layers.Conv2D(4, 1)(outputs)
    exposed = layers.BatchNormalization(name="of_an_output")(outputs)
    last = layers.Conv2D(4, 1)(exposed)
    kept = layers.BatchNormalization(axis=1, name="of_another_axis")(last)
    merged = layers.BatchNormalization(name="merged")(layers.Conv2D(4, 1)(kept))
    model = randomized(keras.Model(inputs, [outputs, merged]))
    wrapped = tfspecnorm.wrap(model, learned, remove_batch_normalization=True)
    removed = {layer.name for layer in model.layers} - {layer.name for layer in wrapped.layers}
    assert {name for name in removed if "conv" not in name} == {"merged"}
    data = tools.random(2, 8, 8, 4)
    for new, old in zip(wrapped(data), model(data), strict=True):
        size = np.abs(tools.array(old)).max()
        np.testing.assert_allclose(tools.array(new), tools.array(old), atol=1e-5 * size)


def shared_between_models():
    """Two domains with statistics of their own behind one convolution."""
    convolution = layers.Conv2D(4, 3)
    parts = [
        keras.Sequential([keras.Input((8, 8, 4)), convolution, layers.BatchNormalization()])
        for _ in range(2)
    ]
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, [part(inputs) for part in parts])


def shared_with_the_outer_model():
    convolution = layers.Conv2D(4, 3)
    nested = keras.Sequential([keras.Input((8, 8, 4)), convolution, layers.BatchNormalization()])
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, [nested(inputs), convolution(inputs)])


def used_elsewhere_too():
    normalization = layers.BatchNormalization()
    nested = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3), normalization])
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, [nested(inputs), normalization(inputs)])


@pytest.mark.parametrize(
    "make", [shared_between_models, shared_with_the_outer_model, used_elsewhere_too]
)
def test_layers_that_several_models_share_stay(make):
    base = make()
    single = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="alone"), layers.BatchNormalization()]
    )
    inputs = keras.Input((8, 8, 4))
    model = randomized(keras.Model(inputs, [*base(inputs), single(inputs)]))
    wrapped = tfspecnorm.wrap(model, WeightNorm, remove_batch_normalization=True)
    data = tools.random(2, 8, 8, 4)
    for new, old in zip(wrapped(data), model(data), strict=True):
        size = np.abs(tools.array(old)).max()
        np.testing.assert_allclose(tools.array(new), tools.array(old), atol=1e-5 * size)


def test_behind_a_masked_layer():
    inputs = keras.Input((5, 6))
    hidden = layers.Dense(3)(layers.Masking()(inputs))
    outputs = layers.LSTM(2)(layers.BatchNormalization()(hidden))
    model = randomized(keras.Model(inputs, outputs))
    wrapped = tfspecnorm.wrap(model, {layers.Dense: WeightNorm}, remove_batch_normalization=True)
    assert "BatchNormalization" not in types(wrapped)
    data = tools.random(2, 5, 6)
    data[:, 3:] = 0
    np.testing.assert_allclose(tools.array(wrapped(data)), tools.array(model(data)), atol=1e-5)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="64 bits on this backend alone")
def test_merging_keeps_double_precision():
    keras.config.set_dtype_policy("float64")
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(4, 3), layers.BatchNormalization()]
    )
    for variable in model.weights:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    inputs = tools.random(2, 8, 8, 4, dtype="float64")
    wrapped = tfspecnorm.wrap(model, WeightNorm, remove_batch_normalization=True)
    expected = tools.array(model(inputs))
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, rtol=1e-12, atol=1e-12)


def test_a_bidirectional_layer_follows_the_rule_of_what_it_holds():
    model = chain(layers.Bidirectional(layers.LSTM(3)), layers.Dense(2), shape=(5, 4))
    wrapped = tfspecnorm.wrap(model, {layers.LSTM: SpectralNorm})
    assert types(wrapped) == ["SpectralNorm", "Dense"]


def test_nested_models_are_searched():
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(5, 3), layers.BatchNormalization()], name="inner"
    )
    inputs = keras.Input((8, 8, 4))
    model = randomized(keras.Model(inputs, layers.ReLU()(inner(inputs))))
    wrapped = tfspecnorm.wrap(model, learned, remove_batch_normalization=True)
    assert types(wrapped.get_layer("inner")) == ["SpectralNorm"]
    data = tools.random(2, 8, 8, 4)
    expected = tools.array(model(data))
    np.testing.assert_allclose(
        tools.array(wrapped(data)), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_only_behind_chosen_layers():
    model = chain(
        layers.Conv2D(4, 3, name="a"),
        layers.BatchNormalization(),
        layers.Conv2D(4, 3, name="b"),
        layers.BatchNormalization(),
    )
    wrapped = tfspecnorm.wrap(
        model, SpectralNorm, lambda layer: layer.name == "b", remove_batch_normalization=True
    )
    assert types(wrapped) == ["Conv2D", "BatchNormalization", "SpectralNorm"]


def test_nothing_to_remove():
    with pytest.raises(ValueError, match="`remove_batch_normalization` must be `False`.*Received"):
        tfspecnorm.wrap(
            chain(layers.Dense(3), shape=(4,)), SpectralNorm, remove_batch_normalization=True
        )


def test_the_given_model_is_unchanged():
    model = chain(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU())
    inputs = tools.random(2, 8, 8, 4)
    expected = tools.array(model(inputs))
    tfspecnorm.wrap(model, MeanSpectralNorm, remove_batch_normalization=True)
    np.testing.assert_array_equal(tools.array(model(inputs)), expected)
    assert ops.shape(model.layers[1].gamma) == (4,)
