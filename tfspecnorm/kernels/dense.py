"""Kernels of Keras' dense, einsum, embedding, attention and recurrent layers."""

import dataclasses
from typing import Any

import keras

from tfspecnorm.kernels.registry import Kernel, kernels_of, register
from tfspecnorm.norms.linear_map import DENSE, EMBEDDING, LinearMap

_Layer = keras.layers.Layer


def _matrix(name: str, variable: keras.Variable, kind: str = DENSE) -> Kernel:
    shape = tuple(int(size) for size in variable.shape)
    return Kernel(name, variable, LinearMap(kind, shape, output_axes=(1,)))


@register(keras.layers.Dense)
def _describe_dense(layer: _Layer) -> list[Kernel]:
    return [_matrix("kernel", layer.kernel)]


@register(keras.layers.Embedding)
def _describe_embedding(layer: _Layer) -> list[Kernel]:
    return [_matrix("embeddings", layer.embeddings, EMBEDDING)]


@register(keras.layers.EinsumDense)
def _describe_einsum(layer: _Layer) -> list[Kernel]:
    return [Kernel("kernel", layer.kernel, _einsum_map(layer))]


def _einsum_map(layer: Any) -> LinearMap:
    """An axis of the kernel is a block if both sides carry it, else an input or an output."""
    operands, output = layer.equation.replace(" ", "").split("->")
    inputs, labels = operands.split(",")
    summed = [label for label in labels if label not in inputs and label not in output]
    if summed or len(set(labels)) < len(labels):
        raise ValueError(
            "Argument `layer` must have an `equation` in which every axis of the kernel occurs "
            "once, and in the input or the output. "
            f"Received: layer=EinsumDense named '{layer.name}' with equation={layer.equation!r}"
        )
    return LinearMap(
        DENSE,
        tuple(int(size) for size in layer.kernel.shape),
        output_axes=tuple(i for i, label in enumerate(labels) if label not in inputs),
        block_axes=tuple(
            i for i, label in enumerate(labels) if label in inputs and label in output
        ),
    )


@register(keras.layers.MultiHeadAttention)
def _describe_attention(layer: _Layer) -> list[Kernel]:
    parts = {
        "query": layer.query_dense,
        "key": layer.key_dense,
        "value": layer.value_dense,
        "output": layer.output_dense,
    }
    return [
        dataclasses.replace(kernel, name=f"{name}_{kernel.name}")
        for name, part in parts.items()
        for kernel in kernels_of(part)
    ]


@register(keras.layers.SimpleRNN)
@register(keras.layers.LSTM)
@register(keras.layers.GRU)
def _describe_recurrent_layer(layer: _Layer) -> list[Kernel]:
    return [
        _matrix("kernel", layer.cell.kernel),
        _matrix("recurrent_kernel", layer.cell.recurrent_kernel),
    ]
