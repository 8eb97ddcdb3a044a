"""Lipschitz constants of layers that shift and scale, by stored or by current statistics."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm.analysis._table import check_built, register_constant


def _array(value: Any) -> np.ndarray:
    """A weight or an argument in float64."""
    return np.asarray(ops.convert_to_numpy(value), "float64")


def _largest(values: Any, *, stored: Any) -> float:
    """Largest absolute value, or NaN if one of the stored values is not finite.

    An offset does not change a slope, but one that is NaN leaves nothing to bound.
    """
    if not all(np.all(np.isfinite(_array(value))) for value in stored):
        return float("nan")
    return float(np.max(np.abs(values)))


@register_constant(keras.layers.BatchNormalization)
def _batch_normalization(layer: Any, input_shape: tuple) -> float:
    # A diagonal map: each channel times γ/√(variance + ε).
    check_built(layer)
    gamma = _array(layer.gamma) if layer.scale else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = gamma / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
    return _largest(factors, stored=layer.weights)


@register_constant(keras.layers.Normalization)
def _normalization(layer: Any, input_shape: tuple) -> float:
    # A diagonal map: each entry divided by, or for `invert` times, max(√variance, ε of Keras).
    check_built(layer)
    with np.errstate(invalid="ignore"):
        deviation = np.maximum(np.sqrt(_array(layer.variance)), keras.config.epsilon())
    factors = deviation if layer.invert else 1.0 / deviation
    return _largest(factors, stored=(layer.mean, layer.variance))


@register_constant(keras.layers.Rescaling)
def _rescaling(layer: Any, input_shape: tuple) -> float:
    return _largest(_array(layer.scale), stored=(layer.scale, layer.offset))


@register_constant(keras.layers.LayerNormalization)
def _layer_normalization(layer: Any, input_shape: tuple) -> float | None:
    # With `rms_scaling` the mean stays in x/√(variance + ε), whose slope grows with it.
    return None if getattr(layer, "rms_scaling", False) else _by_current_statistics(layer)


@register_constant(keras.layers.GroupNormalization)
def _group_normalization(layer: Any, input_shape: tuple) -> float | None:
    return _by_current_statistics(layer)


def _by_current_statistics(layer: Any) -> float | None:
    """max|γ|/√ε, for entries that are normalized by their own mean and variance.

    Let C subtract the mean of n entries, s = √(variance + ε) and z = C·x/s. The Jacobian of
    γ·z + β is diag(γ)·(C − z·zᵀ/n)/s. As z is in the range of the projection C and
    ‖z‖² = n·variance/s² ≤ n, the eigenvalues of C − z·zᵀ/n lie between 0 and 1; and s ≥ √ε. Where
    all n entries are equal and γ has one absolute value the bound is attained. It is so for every
    partition of the entries into groups, as the groups' Jacobians are blocks.
    """
    check_built(layer)
    return _over_root_of_epsilon(layer, layer.gamma)


def _over_root_of_epsilon(layer: Any, gamma: Any) -> float | None:
    epsilon = keras.config.epsilon() if layer.epsilon is None else layer.epsilon
    if epsilon <= 0:
        return None
    factors = 1.0 if gamma is None else _array(gamma)
    return _largest(factors, stored=layer.weights) / float(np.sqrt(epsilon))


def _rms_normalization(layer: Any, input_shape: tuple) -> float | None:
    # As above with C = I and s = √(mean of squares + ε); attained at zero for every γ.
    check_built(layer)
    return _over_root_of_epsilon(layer, layer.scale)


# The oldest supported Keras has no such layer.
if hasattr(keras.layers, "RMSNormalization"):
    register_constant(keras.layers.RMSNormalization, _rms_normalization)
