"""The layers of a model that have matrices, under their paths."""

import contextlib
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfspecnorm.kernels import Kernel
from tfspecnorm.kernels.containers import walk
from tfspecnorm.kernels.undescribed import all_parts, matrices_of
from tfspecnorm.layers._listing import Measured, has_kernels, measured, plain


class Place(NamedTuple):
    """A layer with matrices.

    Args:
        path: Path of the layer.
        layer: The layer.
        kernels: Its kernels with the values that it computes with.
        undescribed: Its matrices that have no description.
    """

    path: str
    layer: Any
    kernels: list[tuple[Kernel, np.ndarray]]
    undescribed: list[keras.Variable]


def places(model: keras.Model) -> list[Place]:
    """The layers with matrices: those with known kernels, and those that nobody described."""
    described: dict[int, Measured] = {}

    def is_described(layer: Any) -> bool:
        if isinstance(layer, keras.Model) or not has_kernels(layer) or not layer.built:
            return False
        with contextlib.suppress(ValueError):
            described[id(layer)] = measured(layer.name, layer)
        return id(layer) in described

    found = [Place(model.name, model, [], matrices_of(model, deep=False))]
    for place in walk(model, is_described, all_parts):
        layer, inner = place.layer, plain(place.layer)
        *around, name = place.path
        path = "/".join([*around, inner.name if name == layer.name else name])
        kernels = _kernels(described[id(layer)]) if place.is_unit else []
        found.append(Place(path, layer, kernels, matrices_of(inner, deep=place.is_unit)))
    known = {id(kernel.variable) for place in found for kernel, _ in place.kernels}
    # A matrix that several layers share has one row.
    for place in found:
        place.undescribed[:] = [v for v in place.undescribed if id(v) not in known]
        known |= {id(variable) for variable in place.undescribed}
    return found


def _kernels(layer: Measured) -> list[tuple[Kernel, np.ndarray]]:
    """The kernels of a layer with the values that it computes with."""
    effective = layer.effective_kernels()
    return [
        (kernel, np.asarray(ops.convert_to_numpy(effective[kernel.name]), "float64"))
        for kernel in layer.kernels
    ]
