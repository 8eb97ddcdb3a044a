"""Kernels of Keras' convolution layers."""

from typing import Any

import keras

from tfspecnorm.kernels.registry import Kernel, register
from tfspecnorm.norms.linear_map import (
    CONVOLUTION,
    DEPTHWISE_CONVOLUTION,
    TRANSPOSED_CONVOLUTION,
    LinearMap,
    Window,
)

_Layer = keras.layers.Layer


def window_of(layer: Any) -> Window:
    """The layer's own geometry; its input size is known if it was built for a fixed one."""
    rank = layer.rank
    shape = (layer.get_build_config() or {}).get("input_shape")
    size = (None,) * rank
    if shape is not None:
        size = tuple(shape[1:-1] if layer.data_format == "channels_last" else shape[2:])
    output_padding = getattr(layer, "output_padding", None)
    return Window(
        strides=_per_axis(layer.strides, rank),
        padding=layer.padding,
        dilation_rate=_per_axis(layer.dilation_rate, rank),
        data_format=layer.data_format,
        input_size=size,
        output_padding=None if output_padding is None else _per_axis(output_padding, rank),
    )


def _per_axis(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _shape(variable: keras.Variable) -> tuple[int, ...]:
    return tuple(int(size) for size in variable.shape)


def _convolution(shape: tuple[int, ...], groups: int, window: Window | None) -> LinearMap:
    """Kernel `(taps, inputs per group, outputs)`; the outputs of one group are neighbours."""
    if groups == 1:
        return LinearMap(CONVOLUTION, shape, (len(shape) - 1,), window=window)
    view = (*shape[:-1], groups, shape[-1] // groups)
    return LinearMap(CONVOLUTION, shape, (len(view) - 1,), (len(view) - 2,), view, window)


@register(keras.layers.Conv1D)
@register(keras.layers.Conv2D)
@register(keras.layers.Conv3D)
def _describe_convolution(layer: _Layer) -> list[Kernel]:
    linear_map = _convolution(_shape(layer.kernel), layer.groups, window_of(layer))
    return [Kernel("kernel", layer.kernel, linear_map)]


@register(keras.layers.Conv1DTranspose)
@register(keras.layers.Conv2DTranspose)
@register(keras.layers.Conv3DTranspose)
def _describe_transposed_convolution(layer: _Layer) -> list[Kernel]:
    """Kernel `(taps, outputs, inputs)`: the axis before the last one counts outputs."""
    shape = _shape(layer.kernel)
    linear_map = LinearMap(
        TRANSPOSED_CONVOLUTION, shape, (len(shape) - 2,), window=window_of(layer)
    )
    return [Kernel("kernel", layer.kernel, linear_map)]


def _depthwise(shape: tuple[int, ...], window: Window) -> LinearMap:
    """Kernel `(taps, inputs, multiplier)`: every input channel is a block of its own."""
    rank = len(shape)
    return LinearMap(DEPTHWISE_CONVOLUTION, shape, (rank - 1,), (rank - 2,), window=window)


@register(keras.layers.DepthwiseConv1D)
@register(keras.layers.DepthwiseConv2D)
def _describe_depthwise_convolution(layer: _Layer) -> list[Kernel]:
    return [Kernel("kernel", layer.kernel, _depthwise(_shape(layer.kernel), window_of(layer)))]


@register(keras.layers.SeparableConv1D)
@register(keras.layers.SeparableConv2D)
def _describe_separable_convolution(layer: _Layer) -> list[Kernel]:
    depthwise, pointwise = layer.depthwise_kernel, layer.pointwise_kernel
    return [
        Kernel("depthwise_kernel", depthwise, _depthwise(_shape(depthwise), window_of(layer))),
        Kernel("pointwise_kernel", pointwise, _convolution(_shape(pointwise), 1, None)),
    ]
