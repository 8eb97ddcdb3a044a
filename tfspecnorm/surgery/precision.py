"""A model that was trained in another precision, as files for devices want it."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.containers import is_graph, layers_in
from tfspecnorm.surgery.rebuild import carry_over, from_edited, holds, rebuild


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
    parts = [part for part in layers_in(model) if not is_graph(part)]
    others = {id(part) for part in parts if _is_other_type(part.compute_dtype)}
    if not others:
        return model
    # With them the layers that hold them, which are made anew as a whole.
    chosen = {id(part) for part in parts if holds(part, others)}
    made, pairs = rebuild(model, lambda layer: from_edited(layer, _edited), chosen)
    for old, new in pairs:
        carry_over(old, new)
    return made


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
