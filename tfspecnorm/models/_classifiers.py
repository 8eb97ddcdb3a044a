"""What several classifiers share: a layer with what follows it, the head, checks of arguments."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_fraction, is_integer
from tfspecnorm.models.normalizations import Normalization


def normalized(normalization: Normalization, layer: keras.layers.Layer, inputs: Any) -> Any:
    """The outputs of a layer, normalized by what is around it or by what follows it."""
    return normalization.follow(normalization.wrap(layer)(inputs), f"{layer.name}_normalization")


def head(normalization: Normalization, classes: int) -> keras.layers.Layer:
    """The last layer of a network whose normalization is meant for every layer with a kernel.

    Weight normalization leaves it plain, as its authors do: a gain for each logit would only
    repeat what the kernel does.
    """
    layer = keras.layers.Dense(classes, name="head")
    return layer if normalization.name == "weight" else normalization.wrap_linear(layer)


def slope_of(normalization: Normalization, negative_slope: Any) -> float:
    """The slope that was asked for, or that of the normalization, or a `ValueError`."""
    if negative_slope is None:
        negative_slope = normalization.negative_slope
    return check_fraction("negative_slope", negative_slope)


def check_positive_integers(name: str, values: Any) -> tuple[int, ...]:
    """The values as integers, or a `ValueError` that names the argument."""
    found = tuple(values) if isinstance(values, (list, tuple)) else ()
    if not found or not all(is_integer(value) and value > 0 for value in found):
        raise ValueError(
            f"Argument `{name}` must be a sequence of positive integers. "
            f"Received: {name}={values!r}"
        )
    return tuple(int(value) for value in found)


def blocks_of(depth: Any, per_block: int, others: int) -> int:
    """How many blocks each stage of a network of so many layers has, or a `ValueError`.

    >>> blocks_of(100, per_block=6, others=4)
    16
    """
    if not is_integer(depth) or depth < per_block + others or (depth - others) % per_block:
        raise ValueError(
            f"Argument `depth` must be {per_block}·n + {others} with a positive integer n. "
            f"Received: depth={depth!r}"
        )
    return int(depth - others) // per_block
