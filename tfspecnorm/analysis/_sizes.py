"""Largest absolute values of what layers return: a product of bounded factors has a constant."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm.analysis._table import known_base

# |f(x)| for every x.
_BOUNDED = {
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax"), 1.0),
    **dict.fromkeys(("tanh", "hard_tanh", "softsign"), 1.0),
    "relu6": 6.0,
}
# Each entry of the output is an entry of the input, a zero, or a mean of them with weights ≥ 0.
_NO_LARGER = tuple(
    getattr(keras.layers, name)
    for name in (
        *("InputLayer", "Identity", "ActivityRegularization", "Dropout", "AlphaDropout"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout"),
        *("GaussianNoise", "Flatten", "Reshape", "Permute", "RepeatVector", "Masking"),
        *(
            f"{name}{axes}D"
            for name in (
                *("ZeroPadding", "Cropping", "MaxPooling", "AveragePooling", "UpSampling"),
                *("GlobalMaxPooling", "GlobalAveragePooling", "AdaptiveMaxPooling"),
                "AdaptiveAveragePooling",
            )
            for axes in (1, 2, 3)
        ),
    )
    if hasattr(keras.layers, name)
)


def size_of_activation(activation: Callable | None, size: float = math.inf) -> float:
    """Largest |f(x)| of an activation for |x| ≤ size, infinite where that is not known.

    >>> size_of_activation(keras.activations.tanh)
    1.0
    """
    options: dict[str, Any] = {}
    if isinstance(activation, functools.partial) and not activation.args:
        activation, options = activation.func, activation.keywords
    if activation is None or activation is keras.activations.linear:
        return size
    if isinstance(activation, keras.layers.Layer):
        return size_of_output(activation, size)
    for module in (keras.activations, ops):
        for name, largest in _BOUNDED.items():
            if activation is getattr(module, name, None):
                return min(largest, size) if name == "relu6" else largest
    if activation is keras.activations.relu or activation is ops.relu:
        return _size_of_relu(size, **options)
    return math.inf


def _size_of_relu(
    size: float,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> float:
    if negative_slope:
        return math.inf
    return min(size, math.inf if max_value is None else abs(float(max_value)))


def size_of_output(layer: Any, size: float = math.inf) -> float:
    """Largest absolute value of an entry of a layer's output, for inputs of at most this size.

    >>> size_of_output(keras.layers.Dense(3, activation="sigmoid"))
    1.0
    """
    base = known_base(layer)
    if base is None or not base.__module__.startswith("keras."):
        return math.inf
    if base is keras.layers.Softmax:
        return 1.0
    if base is keras.layers.ReLU:
        return _size_of_relu(size, layer.negative_slope, layer.max_value, layer.threshold)
    if base is keras.layers.Rescaling:
        scale, offset = (
            float(np.max(np.abs(ops.convert_to_numpy(part))))
            for part in (layer.scale, layer.offset)
        )
        return offset + (scale * size if scale else 0.0)
    if base is keras.layers.Activation:
        return size_of_activation(layer.activation, size)
    if base in _NO_LARGER:
        # The other interpolations have negative weights.
        mixes = getattr(layer, "interpolation", "nearest") not in ("nearest", "bilinear")
        return math.inf if mixes else size
    activation = getattr(layer, "activation", None)
    return math.inf if activation is None else size_of_activation(activation)
