"""Lipschitz constants of layers without kernels: those that move entries or leave them alone."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm.analysis import _activations, _linear, _normalizations, _pooling
from tfspecnorm.analysis._table import (
    check_built,
    constant_of,
    register_constant,
    register_unexported,
)

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


@register_constant(keras.layers.CenterCrop)
def _center_crop(layer: Any, input_shape: tuple) -> float | None:
    # An image that is smaller than the crop is resized instead.
    first = layer.data_format == "channels_first"
    sizes = input_shape[-2:] if first else input_shape[-3:-1]
    wanted = (layer.height, layer.width)
    fits = all(
        size is not None and size >= least for size, least in zip(sizes, wanted, strict=True)
    )
    return 1.0 if fits else None


@register_constant(keras.layers.TimeDistributed)
def _time_distributed(layer: Any, input_shape: tuple) -> float | None:
    # The steps are blocks, each with the same map.
    return constant_of(layer.layer, (input_shape[0], *input_shape[2:]))


def _layer_scale(layer: Any, input_shape: tuple) -> float | None:
    # x·γ, a diagonal map, unless x is repeated to fit γ.
    check_built(layer)
    gamma = np.asarray(ops.convert_to_numpy(layer.gamma), "float64")
    return float(np.max(np.abs(gamma))) if input_shape[-1:] == gamma.shape else None


# ConvNeXt's. The second drops whole branches in training and is the identity at inference.
register_unexported("LayerScale", _layer_scale)
register_unexported("StochasticDepth", lambda layer, input_shape: 1.0)
