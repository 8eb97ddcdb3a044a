"""Kernels of Keras' dense, einsum and embedding layers."""

from typing import Any

import keras

from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import register
from tfspecnorm.norms.linear_map import DENSE, EMBEDDING, LinearMap, dense

_Layer = keras.layers.Layer


def matrix_kernel(name: str, variable: keras.Variable, kind: str = DENSE) -> Kernel:
    """A matrix from inputs to outputs."""
    return Kernel(name, variable, dense(tuple(variable.shape), kind))


@register(keras.layers.Dense)
def _describe_dense(layer: _Layer) -> list[Kernel]:
    return [matrix_kernel("kernel", layer.kernel)]


@register(keras.layers.Embedding)
def _describe_embedding(layer: _Layer) -> list[Kernel]:
    """Tied embeddings serve both ways; untied ones have a matrix back to the vocabulary."""
    back = getattr(layer, "reverse_embeddings", None)
    found = [matrix_kernel("embeddings", layer.embeddings, EMBEDDING)]
    return found if back is None else [*found, matrix_kernel("reverse_embeddings", back)]


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
        tuple(layer.kernel.shape),
        output_axes=tuple(i for i, label in enumerate(labels) if label not in inputs),
        block_axes=tuple(
            i for i, label in enumerate(labels) if label in inputs and label in output
        ),
    )
