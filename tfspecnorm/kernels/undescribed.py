"""Matrices that no description names: who has them, and why."""

from typing import Any

import keras

from tfspecnorm.kernels.containers import held_in, layers_in, parts_of
from tfspecnorm.kernels.description import kernels_of
from tfspecnorm.kernels.holders import own_matrices
from tfspecnorm.kernels.registry import is_registered

NO_DESCRIPTION = "no description: see tfspecnorm.kernels.register"


def all_parts(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """The layers directly in a layer; of a model also those that its graph does not use."""
    listed = parts_of(layer)
    known = {id(part) for _, part in listed}
    return listed + [(name, part) for name, part in held_in(layer) if id(part) not in known]


def matrices_of(layer: keras.layers.Layer, deep: bool) -> list[keras.Variable]:
    """The matrices of a layer, with `deep` also those of the layers in it, each once.

    Weights that multiply entry by entry, such as those of a normalization, are no matrices.
    """
    layers = layers_in(layer) if deep else [layer]
    return list({id(v): v for part in layers for v in own_matrices(part)}.values())


def why_undescribed(layer: Any) -> str:
    """Why the matrices of a layer have no description, or that none was given."""
    if not is_registered(layer):
        return NO_DESCRIPTION
    try:
        kernels_of(layer)
    except ValueError as error:
        return as_reason(error)
    return NO_DESCRIPTION


def as_reason(error: ValueError) -> str:
    """What a refused layer must be, without what was received.

    >>> as_reason(ValueError("Argument `layer` must be built. Received: layer=Dense"))
    'the layer must be built'
    """
    reason, _, _ = str(error).partition(". Received:")
    return reason.replace("Argument `layer` must", "the layer must")
