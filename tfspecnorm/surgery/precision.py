"""A model that was trained in another precision, as files for devices want it."""

from typing import Any

import keras

from tfspecnorm._rebuilding import carry_over, rebuild
from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.holders import is_graph, layers_in


def in_float32(model: keras.Model) -> keras.Model:
    """The model with all layers in float32, or itself if none computes in another floating type.

    In a file a layer of half precision would stand between two casts. Weights are stored in
    float32 by mixed precision; those of other policies are rounded.

    Args:
        model: Built model of plain layers, Sequential or Functional.

    Returns:
        The given model, or a new one of the same layers and names.

    Raises:
        ValueError: If the model is not built, or a layer cannot be rebuilt.
    """
    check_model(model)
    chosen = {id(part) for part in layers_in(model) if not is_graph(part) and _is_other(part)}
    if not chosen:
        return model

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        parts = layers_in(layer)
        if not any(id(part) in chosen for part in parts):
            return None
        classes = {type(part).__name__: type(part) for part in parts}
        config = _edited(keras.saving.serialize_keras_object(layer))
        return keras.saving.deserialize_keras_object(config, classes, safe_mode=False)

    made, pairs = rebuild(model, replace, chosen)
    for old, new in pairs:
        carry_over(old, new)
    return made


def _is_other(layer: keras.layers.Layer) -> bool:
    return _is_other_type(layer.compute_dtype)


def _is_other_type(name: str) -> bool:
    return keras.backend.is_float_dtype(name) and name != "float32"


def _edited(node: Any) -> Any:
    """A configuration in which no layer has another floating policy than float32."""
    if isinstance(node, (list, tuple)):
        return [_edited(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {
        key: "float32" if key == "dtype" and _is_other_policy(value) else _edited(value)
        for key, value in node.items()
    }


def _is_other_policy(value: Any) -> bool:
    try:
        return _is_other_type(keras.dtype_policies.get(value).compute_dtype)
    except (TypeError, ValueError):
        return False
