"""Lipschitz constants of the layers with kernels: certified norms times their activations'."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm import norms
from tfspecnorm.analysis._activations import activation_constant
from tfspecnorm.analysis._table import check_built, register_constant
from tfspecnorm.kernels import Kernel, kernels_of

# Above the rounding of a decomposition in double precision.
ROUNDING = 1 + 1e-9


def value_of(kernel: Kernel) -> np.ndarray:
    """The stored kernel as an array in double precision."""
    return np.asarray(ops.convert_to_numpy(kernel.value_in(kernel.variable)), "float64")


def certified_norm(kernel: np.ndarray, linear_map: norms.LinearMap) -> tuple[float, str]:
    """An upper bound of a map's norm, the best at hand for its size, and what it is.

    Exact by LAPACK for a matrix and for a convolution whose smaller side has 400 entries at most;
    else the Fourier norm, at every size if the map has none.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of the kernel.

    Returns:
        Tuple of the bound and `"exact"` or `"upper bound"`. NaN if an entry is not finite.
    """
    if not linear_map.convolves or norms.is_small(linear_map):
        return norms.exact(kernel, linear_map).value * ROUNDING, norms.EXACT
    return norms.measure(kernel, linear_map, "fourier") * ROUNDING, norms.UPPER_BOUND


def _activated(layer: Any, constant: float, size: int | None = None) -> float | None:
    """A constant times that of the layer's activation."""
    factor = activation_constant(layer.activation, size)
    return None if factor is None else constant * factor


@register_constant(keras.layers.Dense)
def _dense(layer: Any, input_shape: tuple) -> float | None:
    check_built(layer)
    (kernel,) = kernels_of(layer)
    return _activated(layer, certified_norm(value_of(kernel), kernel.linear_map)[0], layer.units)


@register_constant(keras.layers.EinsumDense)
def _einsum_dense(layer: Any, input_shape: tuple) -> float | None:
    """An axis of the inputs that is summed without the kernel adds √(its size)."""
    check_built(layer)
    (kernel,) = kernels_of(layer)
    operands, output = layer.equation.replace(" ", "").split("->")
    inputs, weights = operands.split(",")
    summed = [label for label in inputs if label not in output + weights and label != "."]
    constant = certified_norm(value_of(kernel), kernel.linear_map)[0]
    for label in summed:
        size = _size_of(inputs, label, input_shape)
        if size is None:
            return None
        constant *= size**0.5
    return _activated(layer, constant)


def _size_of(labels: str, label: str, shape: tuple) -> int | None:
    before, _, after = labels.partition("...")
    return shape[before.index(label)] if label in before else shape[after.index(label) - len(after)]


@register_constant(keras.layers.Conv1D)
@register_constant(keras.layers.Conv2D)
@register_constant(keras.layers.Conv3D)
@register_constant(keras.layers.Conv1DTranspose)
@register_constant(keras.layers.Conv2DTranspose)
@register_constant(keras.layers.Conv3DTranspose)
@register_constant(keras.layers.DepthwiseConv1D)
@register_constant(keras.layers.DepthwiseConv2D)
@register_constant(keras.layers.SeparableConv1D)
@register_constant(keras.layers.SeparableConv2D)
def _convolution(layer: Any, input_shape: tuple) -> float | None:
    """The product over the kernels: a separable convolution has two."""
    check_built(layer)
    constant = 1.0
    for kernel in kernels_of(layer):
        linear_map = kernel.linear_map.at_size(spatial_size(layer, input_shape))
        constant *= certified_norm(value_of(kernel), linear_map)[0]
    channels = getattr(layer, "filters", None)
    if channels is None:
        channels = int(np.prod(layer.kernel.shape[-2:]))
    last = layer.data_format == "channels_last"
    return _activated(layer, constant, channels if last else None)


def spatial_size(layer: Any, input_shape: tuple) -> tuple[int | None, ...]:
    """The pixels in the shape of a convolution's input."""
    last = layer.data_format == "channels_last"
    return tuple(input_shape[1:-1] if last else input_shape[2:])
