"""Constants of layers against the singular values of their numerical Jacobians."""

import math
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.analysis import oracles
from tfspecnorm.analysis import _table
from tfspecnorm.analysis._constants import constant_of, register_constant

NAN = float("nan")


def built(layer, shape):
    """A layer with weights that are random, and positive where they are variances."""
    layer.build((None, *shape))
    for number, variable in enumerate(layer.weights):
        if variable.dtype.startswith("float"):
            value = 1.0 + 2.0 * tools.random(*variable.shape, seed=number)
            variable.assign(np.abs(value) if "variance" in variable.name else value)
    if isinstance(layer, layers.Normalization):
        layer.finalize_state()
    return layer


def slope_at(layer, point, step=1e-6):
    """Largest singular value of the Jacobian of a layer of dtype float64 at a point."""

    def at_inference(inputs):
        return layer(inputs, training=False) if takes_training(layer) else layer(inputs)

    return tools.largest_singular_value(oracles.jacobian(at_inference, point, step))


def takes_training(layer):
    return isinstance(layer, (layers.Dropout, layers.BatchNormalization))


def name_of(value):
    return value.__name__ if callable(value) else str(value) if isinstance(value, dict) else ""


# Linear layers, with the shape of an input without its batch: the constant is attained.
LINEAR = [
    (layers.Identity, {}, (3,)),
    (layers.ActivityRegularization, {}, (3,)),
    (layers.Dropout, {"rate": 0.5}, (3, 2)),
    (layers.SpatialDropout1D, {"rate": 0.5}, (3, 2)),
    (layers.SpatialDropout2D, {"rate": 0.5}, (2, 2, 2)),
    (layers.SpatialDropout3D, {"rate": 0.5}, (2, 1, 2, 2)),
    (layers.AlphaDropout, {"rate": 0.5}, (3, 2)),
    (layers.GaussianDropout, {"rate": 0.5}, (3, 2)),
    (layers.GaussianNoise, {"stddev": 0.5}, (3, 2)),
    (layers.Flatten, {}, (2, 3)),
    (layers.Reshape, {"target_shape": (3, 2)}, (2, 3)),
    (layers.Permute, {"dims": (2, 1)}, (2, 3)),
    (layers.RepeatVector, {"n": 5}, (3,)),
    (layers.ZeroPadding1D, {"padding": (1, 2)}, (3, 2)),
    (layers.ZeroPadding2D, {"padding": 1}, (2, 3, 1)),
    (layers.ZeroPadding3D, {"padding": 1}, (2, 1, 2, 1)),
    (layers.Cropping1D, {"cropping": (1, 2)}, (5, 2)),
    (layers.Cropping2D, {"cropping": 1}, (3, 4, 1)),
    (layers.Cropping3D, {"cropping": 1}, (3, 4, 3, 1)),
    (layers.Masking, {"mask_value": 0.0}, (3, 2)),
    (layers.BatchNormalization, {}, (2, 4)),
    (layers.BatchNormalization, {"scale": False, "center": False}, (4,)),
    (layers.BatchNormalization, {"axis": 1, "epsilon": 0.1}, (3, 2, 2)),
    (layers.Normalization, {}, (2, 4)),
    (layers.Normalization, {"invert": True}, (2, 4)),
    (layers.Normalization, {"axis": 1}, (3, 2)),
    (layers.Normalization, {"axis": None, "mean": 1.0, "variance": 0.3}, (3,)),
    (layers.Normalization, {"mean": [1.0, 2.0], "variance": [0.3, 0.0]}, (2,)),
    (layers.Normalization, {"mean": [1.0, 2.0], "variance": [0.3, 7.0], "invert": True}, (3, 2)),
    (layers.Rescaling, {"scale": -1 / 127.5, "offset": 1.0}, (2, 2, 3)),
    (layers.Rescaling, {"scale": [0.5, -2.0, 1.0], "offset": [0.0, 1.0, 2.0]}, (2, 2, 3)),
]


@pytest.mark.parametrize(("layer_class", "options", "shape"), LINEAR, ids=name_of)
def test_constant_of_a_linear_layer_is_its_norm(layer_class, options, shape):
    with tools.double_precision():
        layer = built(layer_class(**options, dtype="float64"), shape)
    # Any step will do for a linear map, and a large one where Keras computes in float32.
    slope = slope_at(layer, tools.random(*shape, seed=3), step=1.0)
    constant = constant_of(layer, (None, *shape))
    assert slope <= constant * (1 + 1e-5)
    assert constant <= slope * (1 + 1e-5)


# Layers and a point where the slope comes close to the constant, if one is known.
NONLINEAR = [
    (layers.Activation, {"activation": "silu"}, np.full(3, 2.39936)),
    (layers.Activation, {"activation": "softmax"}, [[1.0, 1.0], [0.0, 2.0]]),
    (layers.Activation, {"activation": "log_softmax"}, [[30.0, 0.0, 0.0]]),
    (layers.ReLU, {}, np.ones(3)),
    (layers.ReLU, {"max_value": 2.0, "negative_slope": 3.0}, -np.ones(3)),
    (layers.ReLU, {"max_value": 6.0}, np.ones(3)),
    (layers.ReLU, {"max_value": 0.0, "negative_slope": 0.25}, -np.ones(3)),
    (layers.LeakyReLU, {}, np.ones(3)),
    (layers.LeakyReLU, {"negative_slope": 1.5}, -np.ones(3)),
    (layers.PReLU, {}, -np.ones((2, 3))),
    (layers.PReLU, {"shared_axes": [1]}, -np.ones((2, 3))),
    (layers.ELU, {"alpha": 2.0}, np.full(3, -1e-4)),
    (layers.Softmax, {}, [[1.0, 1.0, -40.0]]),
    (layers.Softmax, {"axis": 1}, [[1.0, 3.0], [1.0, 0.0], [-40.0, 0.0]]),
    (layers.Softmax, {"axis": [1, 2]}, [[1.0, 1.0], [-40.0, -40.0]]),
    (layers.LayerNormalization, {"scale": False}, np.zeros((2, 3))),
    (layers.LayerNormalization, {"epsilon": 0.1}, None),
    (layers.LayerNormalization, {"axis": [1, 2]}, None),
    (layers.GroupNormalization, {"groups": 2}, np.zeros((3, 4))),
    (layers.GroupNormalization, {"groups": -1, "axis": 1}, np.zeros((2, 3, 2))),
    (layers.GroupNormalization, {"groups": 1, "scale": False}, np.zeros((3, 4))),
]
if hasattr(layers, "RMSNormalization"):
    NONLINEAR += [
        (layers.RMSNormalization, {}, np.zeros((2, 3))),
        (layers.RMSNormalization, {"axis": [1, 2], "epsilon": 0.1}, np.zeros((2, 3))),
    ]


@pytest.mark.parametrize(("layer_class", "options", "extreme"), NONLINEAR, ids=name_of)
def test_no_slope_exceeds_the_constant(layer_class, options, extreme):
    shape = (2, 3) if extreme is None else np.shape(extreme)
    with tools.double_precision():
        layer = built(layer_class(**options, dtype="float64"), shape)
    constant = constant_of(layer, (None, *shape))
    # JAX and PyTorch compute current statistics in float32.
    in_float32 = isinstance(layer, (layers.LayerNormalization, layers.GroupNormalization))
    step, rounding = (1e-4, 1e-3) if in_float32 else (1e-6, 1e-5)
    for scale in (1e-3, 0.1, 1.0, 10.0):
        point = scale * tools.random(*shape, seed=int(10 * scale), dtype="float64")
        assert slope_at(layer, point, step) <= constant * (1 + rounding)
    if extreme is not None:
        slope = slope_at(layer, extreme, step)
        assert slope <= constant * (1 + rounding)
        assert constant <= slope * (1 + 1e-3)


AUGMENTATIONS = [
    layers.RandomBrightness(0.2),
    layers.RandomContrast(0.2),
    layers.RandomFlip(),
    layers.RandomRotation(0.2),
    layers.RandomTranslation(0.2, 0.2),
    layers.RandomZoom(0.2),
]


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=lambda layer: type(layer).__name__)
def test_augmentation_is_the_identity_at_inference(layer):
    images = 300.0 * tools.random(2, 6, 6, 3)
    np.testing.assert_array_equal(tools.array(layer(images, training=False)), images)
    assert constant_of(layer, (None, 6, 6, 3)) == 1.0


def test_time_distributed_has_the_constant_of_its_layer_for_one_step():
    inner = layers.AveragePooling1D(2, 1, "same")
    layer = layers.TimeDistributed(inner)
    inputs = keras.Input((3, 5, 1))
    keras.Model(inputs, layer(inputs))
    norm = tools.largest_singular_value(oracles.matrix_of_linear(layer, (3, 5, 1)))
    np.testing.assert_allclose(constant_of(layer, (None, 3, 5, 1)), norm, rtol=1e-6)
    assert constant_of(layers.TimeDistributed(layers.UnitNormalization()), (None, 3, 5)) is None


@pytest.mark.parametrize(
    "layer",
    [
        layers.UnitNormalization(),
        layers.Masking(1.0),
        layers.ReLU(threshold=1.0),
        layers.ReLU(threshold=0.5, negative_slope=0.3),
        layers.Activation("exponential"),
        layers.Activation(lambda inputs: inputs),
        layers.Lambda(lambda inputs: inputs),
        layers.Embedding(3, 2),
        layers.Multiply(),
        layers.LSTM(2),
        layers.Attention(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_without_a_constant(layer):
    assert constant_of(layer, (None, 4, 2)) is None


@pytest.mark.parametrize("layer", [layers.ReLU(threshold=1.0), layers.Masking(1.0)])
def test_layers_that_jump(layer):
    """Why these have no constant: the slope grows as the points come together."""
    slopes = []
    for distance in (1e-1, 1e-2, 1e-3):
        pair = np.array([[[1.0]], [[1.0 + distance]]], "float32")
        jump = np.abs(np.diff(tools.array(layer(pair)), axis=0)).item()
        slopes.append(jump / distance)
    assert slopes[0] < slopes[1] < slopes[2] and slopes[2] > 900


def test_statistics_without_epsilon_have_no_constant():
    for layer_class in (layers.LayerNormalization, layers.GroupNormalization):
        options = {"groups": 1} if layer_class is layers.GroupNormalization else {}
        layer = built(layer_class(epsilon=0.0, **options), (4,))
        assert constant_of(layer, (None, 4)) is None


def test_layer_normalization_that_keeps_the_mean_has_no_constant():
    with warnings.catch_warnings():
        # Later versions of Keras warn that the option is deprecated.
        warnings.simplefilter("ignore")
        layer = built(layers.LayerNormalization(rms_scaling=True), (4,))
    assert constant_of(layer, (None, 4)) is None


@pytest.mark.parametrize("number", [NAN, math.inf])
@pytest.mark.parametrize(
    ("layer_class", "weight"),
    [
        (layers.BatchNormalization, "gamma"),
        (layers.BatchNormalization, "beta"),
        (layers.BatchNormalization, "moving_mean"),
        (layers.BatchNormalization, "moving_variance"),
        (layers.LayerNormalization, "gamma"),
        (layers.LayerNormalization, "beta"),
        (layers.PReLU, "alpha"),
        (layers.Normalization, "mean"),
        (layers.Normalization, "variance"),
    ],
    ids=str,
)
def test_weights_that_are_not_finite_show(layer_class, weight, number):
    layer = built(layer_class(), (3,))
    variable = next(variable for variable in layer.weights if variable.name == weight)
    variable.assign([1.0, number, 2.0])
    if layer_class is layers.Normalization:
        layer.finalize_state()
    assert not math.isfinite(constant_of(layer, (None, 3)))


def test_other_values_that_are_not_finite_show():
    assert math.isnan(constant_of(layers.Rescaling(NAN), (None, 3)))
    assert math.isnan(constant_of(layers.Rescaling(2.0, offset=NAN), (None, 3)))
    assert math.isnan(constant_of(layers.ELU(NAN), (None, 3)))
    layer = built(layers.BatchNormalization(), (3,))
    for variance in (NAN, -1.0):
        layer.moving_variance.assign([1.0, variance, 2.0])
        assert math.isnan(constant_of(layer, (None, 3)))
    layer = built(layers.Normalization(), (3,))
    layer.adapt_variance.assign([1.0, NAN, 2.0])
    layer.finalize_state()
    assert math.isnan(constant_of(layer, (None, 3)))


@pytest.mark.parametrize(
    "layer", [layers.BatchNormalization(), layers.PReLU(), layers.Normalization()]
)
def test_layer_that_is_not_built_is_an_error(layer):
    with pytest.raises(ValueError, match=r"`layer` must be built .* Received: layer="):
        constant_of(layer, (None, 3))


def test_registered_rules_of_own_layers(monkeypatch):
    monkeypatch.setattr(_table, "_RULES", dict(_table._RULES))

    class Tripled(layers.ReLU):
        pass

    class Lifted(Tripled):
        pass

    assert constant_of(Lifted(), (None, 3)) == 1.0

    @register_constant(Tripled)
    def rule(layer, input_shape):
        return np.float32(3 * input_shape[-1])

    constant = constant_of(Lifted(), [None, 2])
    assert constant == 6.0 and type(constant) is float
    assert rule is not None and register_constant(Lifted, rule) is rule
    assert constant_of(layers.ReLU(), (None, 3)) == 1.0


def test_only_layer_classes_can_be_registered():
    with pytest.raises(ValueError, match=r"`layer_class` .* Received: layer_class=3"):
        register_constant(3, lambda layer, input_shape: 1.0)


def test_no_keras_layer_inherits_the_rule_of_another_layer():
    for layer_class in vars(layers).values():
        if isinstance(layer_class, type) and issubclass(layer_class, layers.Layer):
            known = next((base for base in layer_class.__mro__ if base in _table._RULES), None)
            assert known in (None, layer_class)
