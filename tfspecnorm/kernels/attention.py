"""Kernels of Keras' attention layers: the projections, which exist once the layer is built."""

from typing import Any

import keras

from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.description import kernels_of
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import register

_ORDER = ("query", "key", "value", "gate", "output")


@register(keras.layers.MultiHeadAttention)
@register(keras.layers.GroupQueryAttention)
def _describe_attention(layer: Any) -> list[Kernel]:
    parts = {
        part.name: part for part in layers_in(layer) if isinstance(part, keras.layers.EinsumDense)
    }
    parts["output"] = parts.pop("attention_output")
    return [
        kernel.within(name)
        for name in sorted(parts, key=_ORDER.index)
        for kernel in kernels_of(parts[name])
    ]
