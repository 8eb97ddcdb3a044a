"""Kernels of Keras' convolution layers."""

from typing import Any

import keras

from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import register
from tfspecnorm.norms.linear_map import (
    Window,
    convolution,
    depthwise_convolution,
    transposed_convolution,
    window,
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
    return window(
        rank,
        size,
        layer.strides,
        layer.padding,
        layer.dilation_rate,
        output_padding,
        layer.data_format,
    )


@register(keras.layers.Conv1D)
@register(keras.layers.Conv2D)
@register(keras.layers.Conv3D)
def _describe_convolution(layer: _Layer) -> list[Kernel]:
    shape = tuple(layer.kernel.shape)
    described = convolution(shape, window_of(layer), layer.groups)
    return [Kernel("kernel", layer.kernel, described)]


@register(keras.layers.Conv1DTranspose)
@register(keras.layers.Conv2DTranspose)
@register(keras.layers.Conv3DTranspose)
def _describe_transposed_convolution(layer: _Layer) -> list[Kernel]:
    described = transposed_convolution(tuple(layer.kernel.shape), window_of(layer))
    return [Kernel("kernel", layer.kernel, described)]


@register(keras.layers.DepthwiseConv1D)
@register(keras.layers.DepthwiseConv2D)
def _describe_depthwise_convolution(layer: _Layer) -> list[Kernel]:
    described = depthwise_convolution(tuple(layer.kernel.shape), window_of(layer))
    return [Kernel("kernel", layer.kernel, described)]


@register(keras.layers.SeparableConv1D)
@register(keras.layers.SeparableConv2D)
def _describe_separable_convolution(layer: _Layer) -> list[Kernel]:
    depthwise, pointwise = layer.depthwise_kernel, layer.pointwise_kernel
    described = depthwise_convolution(tuple(depthwise.shape), window_of(layer))
    return [
        Kernel("depthwise_kernel", depthwise, described, followed_by="pointwise_kernel"),
        Kernel("pointwise_kernel", pointwise, convolution(tuple(pointwise.shape))),
    ]
