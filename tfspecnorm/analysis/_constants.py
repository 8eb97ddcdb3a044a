"""Lipschitz constants of layers without kernels: those that move entries or leave them alone."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm.analysis import _activations, _linear, _normalizations, _pooling
from tfspecnorm.analysis._table import constant_of, register_constant

# Importing the other rules fills the table.
__all__ = [
    "_activations",
    "_linear",
    "_normalizations",
    "_pooling",
    "constant_of",
    "register_constant",
]

# Each output entry is an input entry or zero, and no input entry appears twice. Noise, dropout
# and random augmentation are the identity at inference.
_ENTRIES_AT_MOST_ONCE = (
    keras.layers.InputLayer,
    keras.layers.Identity,
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.RandomBrightness,
    keras.layers.RandomContrast,
    keras.layers.RandomFlip,
    keras.layers.RandomRotation,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
)

for _layer_class in _ENTRIES_AT_MOST_ONCE:
    register_constant(_layer_class, lambda layer, input_shape: 1.0)


@register_constant(keras.layers.RepeatVector)
def _repeat_vector(layer: Any, input_shape: tuple) -> float:
    # n copies: ‖(d, …, d)‖ = √n·‖d‖.
    return math.sqrt(layer.n)


@register_constant(keras.layers.Masking)
def _masking(layer: Any, input_shape: tuple) -> float | None:
    # A step of zeros is set to zero, which is the identity; any other step would jump to zero.
    return 1.0 if np.all(ops.convert_to_numpy(layer.mask_value) == 0) else None


@register_constant(keras.layers.TimeDistributed)
def _time_distributed(layer: Any, input_shape: tuple) -> float | None:
    # The steps are blocks, each with the same map.
    return constant_of(layer.layer, (input_shape[0], *input_shape[2:]))
