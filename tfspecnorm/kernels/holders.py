"""Layers that compute with the kernels of layers that they hold."""

from typing import Any

import keras

from tfspecnorm.kernels.attachment import weights_alone
from tfspecnorm.kernels.containers import is_graph, layers_in
from tfspecnorm.kernels.description import is_matrix
from tfspecnorm.kernels.registry import is_registered, register_holder, unknown_part

# Their weights multiply entry by entry, whatever their shape.
_WITHOUT_MAPS = tuple(
    getattr(keras.layers, name)
    for name in (
        *("PReLU", "Normalization", "BatchNormalization"),
        *("LayerNormalization", "GroupNormalization", "RMSNormalization"),
    )
    if hasattr(keras.layers, name)
)


@register_holder(keras.layers.TimeDistributed)
def _repeated_by(layer: Any) -> dict[str, Any]:
    return {"": layer.layer}


@register_holder(keras.Model)
def _layers_of(model: Any) -> dict[str, Any]:
    """Of a Sequential or Functional model: what another model does with its layers is unknown."""
    if not is_graph(model):
        return {}
    return {layer.name: layer for layer in model.layers if is_registered(layer)}


def has_unknown_matrix(layer: Any) -> bool:
    """Whether a layer of unknown kernels has a matrix that is not one of a layer in it.

    Of a layer that is known to hold others, whether that of them which is unknown has one.
    """
    return bool(own_matrices(unknown_part(layer)))


def own_matrices(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The matrices of a layer that are not those of a layer in it."""
    if isinstance(layer, _WITHOUT_MAPS):
        return []
    inner = {id(variable) for held in layers_in(layer)[1:] for variable in held.weights}
    return [v for v in weights_alone(layer) if is_matrix(v) and id(v) not in inner]
