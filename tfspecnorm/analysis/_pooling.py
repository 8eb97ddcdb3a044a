"""Lipschitz constants of pooling and upsampling layers: products over the spatial axes."""

import math
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._backend.differences import may_repeat_borders
from tfspecnorm.analysis._table import Rule, register_constant
from tfspecnorm.analysis._windows import (
    adaptive_windows,
    average_norm,
    most_windows,
    pads_unevenly,
    pooled_average_norm,
    pooling_windows,
)


def _register(name: str) -> Callable[[Rule], Rule]:
    """Registers a rule for the layers of a name with one, two and three spatial axes.

    `getattr`, because the oldest supported Keras has no adaptive pooling.
    """

    def decorate(rule: Rule) -> Rule:
        for axes in ("1D", "2D", "3D"):
            layer_class = getattr(keras.layers, name + axes, None)
            if layer_class is not None:
                register_constant(layer_class, rule)
        return rule

    return decorate


def _spatial_sizes(layer: Any, input_shape: tuple) -> tuple[int | None, ...]:
    first = layer.data_format == "channels_first"
    return tuple(input_shape[2:] if first else input_shape[1:-1])


@_register("MaxPooling")
def _max_pooling(layer: Any, input_shape: tuple) -> float:
    """√m for the largest number m of windows that one entry is in.

    The maximum over a window changes by at most the largest change dᵢ in it, whose square is at
    most the sum of the squares in the window. Over all windows each dᵢ² counts at most m times.
    One large entry in m windows attains it. An entry is in at most ⌈pool / stride⌉ windows
    along an axis.
    """
    sizes = _spatial_sizes(layer, input_shape)
    return math.sqrt(
        math.prod(
            -(-pool // stride)
            if size is None
            else most_windows(pooling_windows(size, pool, stride, layer.padding))
            for size, pool, stride in zip(sizes, layer.pool_size, layer.strides, strict=True)
        )
    )


@_register("AveragePooling")
def _average_pooling(layer: Any, input_shape: tuple) -> float | None:
    """The norm of a Kronecker product: the product of the norms along the axes.

    With padding "same" the windows at the border average over the entries that they have, so
    their weights are larger and the norm may exceed 1.
    """
    sizes = _spatial_sizes(layer, input_shape)
    windows = list(zip(sizes, layer.pool_size, layer.strides, strict=True))
    bounds = []
    for repeats_border in _ways_to_pad(layer.padding, windows):
        norms = [pooled_average_norm(*window, layer.padding, repeats_border) for window in windows]
        if None in norms:
            return None
        bounds.append(math.prod(norms))
    return max(bounds)


def _ways_to_pad(padding: str, windows: list[tuple]) -> tuple[bool, ...]:
    """Whether the border may be repeated: Keras on PyTorch does so on all axes if one is uneven.

    Elsewhere, and if every axis has as much in front as behind, padding does not count.
    """
    if padding != "same" or not may_repeat_borders():
        return (False,)
    if any(size is not None and pads_unevenly(size, *window) for size, *window in windows):
        return (True,)
    return (False, True) if any(size is None for size, *_ in windows) else (False,)


@_register("AdaptiveMaxPooling")
def _adaptive_max_pooling(layer: Any, input_shape: tuple) -> float | None:
    # As for `MaxPooling`. On a short axis of unknown size the windows repeat.
    sizes = _spatial_sizes(layer, input_shape)
    if None in sizes:
        return None
    along_axes = map(adaptive_windows, sizes, layer.output_size)
    return math.sqrt(math.prod(map(most_windows, along_axes)))


@_register("AdaptiveAveragePooling")
def _adaptive_average_pooling(layer: Any, input_shape: tuple) -> float | None:
    # As for `AveragePooling`.
    sizes = _spatial_sizes(layer, input_shape)
    if None in sizes:
        return None
    return math.prod(map(average_norm, map(adaptive_windows, sizes, layer.output_size)))


@_register("GlobalMaxPooling")
def _global_max_pooling(layer: Any, input_shape: tuple) -> float:
    # `MaxPooling` with one window.
    return 1.0


@_register("GlobalAveragePooling")
def _global_average_pooling(layer: Any, input_shape: tuple) -> float:
    # A row of 1/n has the norm 1/√n; an unknown size is at least 1.
    sizes = _spatial_sizes(layer, input_shape)
    return 1.0 / math.sqrt(math.prod(size or 1 for size in sizes))


@_register("UpSampling")
def _up_sampling(layer: Any, input_shape: tuple) -> float | None:
    """√(product of the factors), for "nearest" and for "bilinear" interpolation.

    "nearest" repeats each entry. "bilinear" has along an axis a matrix A ≥ 0 whose rows sum to 1
    and whose columns sum to the factor f, also at the ends, where positions outside take the
    value of the last entry. So ‖A‖² ≤ ‖A‖₁·‖A‖∞ = f, which constant inputs attain. The other
    interpolations have negative weights that differ between backends.
    """
    if getattr(layer, "interpolation", "nearest") not in ("nearest", "bilinear"):
        return None
    return math.sqrt(layer.size if isinstance(layer.size, int) else math.prod(layer.size))
