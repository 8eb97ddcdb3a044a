"""VGG7 against the paper's table: its layers, its parameters, and what a device runs."""

import functools
import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.models import vgg7

NORMALIZATIONS = ("none", "batch", "spectral")
KERNEL_LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "head"]


@functools.cache
def built(normalization):
    """A default model that no test changes."""
    return vgg7(normalization=normalization)


def trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def plain(layer):
    return layer.layer if isinstance(layer, SpectralNorm) else layer


def images(count=4, size=32):
    return tools.random(count, size, size, 3)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_trainable_parameters_are_those_of_the_reference(normalization):
    assert trainable_parameters(built(normalization)) == 437_162


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_grey_images_and_other_class_counts_change_first_and_last_layer_only(normalization):
    model = vgg7((32, 32, 1), classes=100, normalization=normalization)
    fewer_taps, more_logits = 2 * 9 * 32, 90 * 257
    assert trainable_parameters(model) == 437_162 - fewer_taps + more_logits
    assert model.output_shape == (None, 100)


def test_layout_is_that_of_the_paper():
    model = built("none")
    layout = [
        (layer.filters, layer.kernel_size, layer.strides, layer.padding)
        if isinstance(layer, layers.Conv2D)
        else "pool"
        for layer in model.layers
        if isinstance(layer, layers.Conv2D | layers.MaxPooling2D)
    ]

    def same(filters):
        return filters, (3, 3), (1, 1), "same"

    last = (256, (3, 3), (1, 1), "valid")
    assert layout == [
        *(same(32), same(32), "pool", same(64), same(64), "pool", same(128), "pool"),
        *(last, "pool"),
    ]
    assert model.get_layer("flatten").output.shape == (None, 256)
    assert model.get_layer("head").activation is keras.activations.linear


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_layers_with_kernels_have_the_same_names_in_each_variant(normalization):
    inner = [plain(layer) for layer in built(normalization).layers]
    names = [layer.name for layer in inner if hasattr(layer, "kernel")]
    assert names == KERNEL_LAYERS


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_only_spectral_wraps_and_only_convolutions(normalization):
    model = built(normalization)
    wrapped = [layer.layer.name for layer in model.layers if isinstance(layer, SpectralNorm)]
    assert wrapped == (KERNEL_LAYERS[:-1] if normalization == "spectral" else [])
    assert type(model.get_layer("head")) is layers.Dense


def test_batch_normalization_takes_the_place_of_the_biases():
    model = built("batch")
    assert not any(model.get_layer(name).use_bias for name in KERNEL_LAYERS[:-1])
    found = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert [(layer.center, layer.scale) for layer in found] == [(True, False)] * 6
    assert not any(
        isinstance(layer, layers.BatchNormalization)
        for normalization in ("none", "spectral")
        for layer in built(normalization).layers
    )


@pytest.mark.parametrize(("normalization", "rates"), [("batch", [0.3] * 4), ("spectral", [])])
def test_dropout_comes_after_poolings(normalization, rates):
    model_layers = built(normalization).layers
    places = [i for i, layer in enumerate(model_layers) if isinstance(layer, layers.Dropout)]
    assert [model_layers[place].rate for place in places] == rates
    assert all(isinstance(model_layers[place - 1], layers.MaxPooling2D) for place in places)


@pytest.mark.parametrize(
    ("normalization", "slope", "expected"),
    [
        ("none", None, layers.ReLU),
        ("batch", None, layers.ReLU),
        ("spectral", None, 0.1),
        ("none", 0.2, 0.2),
        ("spectral", 0, layers.ReLU),
    ],
)
def test_activations(normalization, slope, expected):
    model = vgg7(normalization=normalization, negative_slope=slope)
    found = [model.get_layer(f"activation{number}") for number in range(1, 7)]
    if expected is layers.ReLU:
        assert {type(layer) for layer in found} == {layers.ReLU}
    else:
        assert [layer.negative_slope for layer in found] == [expected] * 6


def test_spectral_convolutions_have_norm_one_after_training():
    model = vgg7()
    tools.fit_steps(model, images(), tools.random(4, 10, seed=1), epochs=3)
    wrappers = [layer for layer in model.layers if isinstance(layer, SpectralNorm)]
    tfspecnorm.warm_up(model)
    for wrapper in wrappers:
        kernel = tools.array(wrapper.effective_kernels()["kernel"])
        norm = tools.largest_singular_value(tools.matrix_of(kernel, -1))
        assert norm == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_trainable_variable_gets_a_gradient(normalization):
    keras.utils.set_random_seed(0)
    model = vgg7(normalization=normalization)
    inputs = images()
    found = tools.gradients(
        lambda: ops.mean(ops.square(model(inputs, training=True))), model.trainable_variables
    )
    assert len(found) == 14
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_folded_model_is_the_plain_variant_with_other_weights():
    model = vgg7()
    tools.fit_steps(model, images(), tools.random(4, 10, seed=1))
    folded = tfspecnorm.fold(model)
    twin = vgg7(normalization="none", negative_slope=0.1)
    assert [(type(a), a.name) for a in folded.layers] == [(type(b), b.name) for b in twin.layers]
    twin.set_weights(folded.get_weights())
    expected, found = model.predict(images(), verbose=0), twin.predict(images(), verbose=0)
    assert np.abs(found - expected).max() < 1e-5


def test_callable_normalization_wraps_what_it_is_given():
    model = vgg7(normalization=lambda layer: SpectralNorm(layer, power_iterations=3))
    wrapped = [layer for layer in model.layers if isinstance(layer, SpectralNorm)]
    assert [layer.power_iterations for layer in wrapped] == [3] * 6
    assert model.get_layer("activation1").negative_slope == 0.1


def test_larger_images_give_the_head_more_features():
    model = vgg7((64, 48, 3), normalization="none")
    assert model.get_layer("head").kernel.shape == (3 * 2 * 256, 10)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_saved_model_loads_with_equal_outputs(normalization, tmp_path):
    model = vgg7(normalization=normalization)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(images(), verbose=0)
    assert np.array_equal(loaded.predict(images(), verbose=0), expected)


def test_integers_of_numpy_are_integers():
    assert vgg7(np.array([32, 32, 3]), classes=np.int64(7)).output_shape == (None, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (31, 32, 3)}, r"`input_shape`.*at least 32.*\(31, 32, 3\)"),
        ({"input_shape": (32, 32)}, r"`input_shape`.*Received: input_shape=\(32, 32\)"),
        ({"input_shape": (None, 32, 3)}, r"`input_shape`.*Received: input_shape=\(None, 32, 3\)"),
        ({"input_shape": (32, 32, 0)}, r"`input_shape`.*Received: input_shape=\(32, 32, 0\)"),
        ({"input_shape": 32}, "`input_shape`.*Received: input_shape=32"),
        ({"classes": 0}, "`classes`.*positive integer.*Received: classes=0"),
        ({"classes": 2.5}, r"`classes`.*Received: classes=2\.5"),
        ({"classes": True}, "`classes`.*Received: classes=True"),
        ({"normalization": "layer"}, "\"spectral\".*Received: normalization='layer'"),
        ({"normalization": None}, "`normalization`.*Received: normalization=None"),
        ({"negative_slope": -0.1}, r"`negative_slope`.*Received: negative_slope=-0\.1"),
        ({"negative_slope": float("nan")}, "Received: negative_slope=nan"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\).*Received: dropout=1\.0"),
        ({"dropout": "high"}, "Received: dropout='high'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        vgg7(**arguments)
    assert re.search(message, str(caught.value))
