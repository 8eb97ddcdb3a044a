"""Layers that are not known themselves but hold known ones, at any depth: composite layers."""

import fnmatch
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from tfspecnorm.kernels.attachment import weights_alone
from tfspecnorm.kernels.containers import Place, held_in, walk
from tfspecnorm.kernels.description import is_matrix, kernels_of, unknown_layer
from tfspecnorm.kernels.holders import own_matrices
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import described, held_by, is_registered

_OF_POSITIONS = re.compile(r"(^|_)pos(ition(al|s)?)?(_|$)")


class Kernels(NamedTuple):
    """The kernels of a built layer, of those in it, and what is left.

    Args:
        chosen: The kernels, in the order of the layers.
        parts: The known layers that compute with kernels.
        left: Pairs of a matrix that is none of them, and why.
    """

    chosen: list[Kernel]
    parts: list[Any]
    left: list[tuple[keras.Variable, str]]


def is_unit(layer: Any) -> bool:
    """Whether a layer is described as a whole: of a model each of its layers is."""
    return is_registered(layer) and not isinstance(layer, keras.Model)


def kernels_within(
    layer: keras.layers.Layer, per_gate: bool = False, patterns: Sequence[str] | None = None
) -> Kernels:
    """The kernels of a layer, those of a composite one named by paths, such as `"up/kernel"`.

    Args:
        layer: Built layer.
        per_gate: As in `kernels_of`.
        patterns: Names of kernels, or patterns for them (`*`, `?`, `[...]`), or `None` for all but
            tables of positions.

    Raises:
        ValueError: If there is no kernel in it, a pattern fits none, or as in `kernels_of`.
    """
    found, parts, left = [], [], []
    if _is_described(layer):
        found, parts = kernels_of(layer), held_by(layer)
    else:
        for place in (Place(layer, (), (), is_unit(layer)), *walk(layer, is_unit, held_in)):
            if not place.is_unit:
                reason = f"{type(place.layer).__name__} is not known: `tfspecnorm.kernels.register`"
                left += [(variable, reason) for variable in own_matrices(place.layer)]
            elif place.layer.built:
                own = _named(place)
                if patterns is None and is_position_table(place):
                    left += [(kernel.variable, "a table of positions") for kernel in own]
                else:
                    found += own
                    parts += held_by(place.layer)
    if not found:
        raise unknown_layer(layer)
    if patterns is not None:
        found, unchosen = _chosen(found, patterns, layer)
        left += [(kernel.variable, "it is not among `kernels`") for kernel in unchosen]
    if per_gate:
        found = [part for kernel in found for part in kernel.per_gate()]
    return Kernels(found, parts, left)


def is_position_table(place: Place) -> bool:
    """Whether a layer adds a vector to each position: nothing is multiplied with its table."""
    names = (place.layer.name, *place.path[-1:])
    is_table = isinstance(place.layer, keras.layers.Embedding)
    return is_table and any(_OF_POSITIONS.search(name) for name in names)


def _is_described(layer: keras.layers.Layer) -> bool:
    """Whether a layer is known, a model with all that is in it."""
    if not is_registered(layer) or not isinstance(layer, keras.Model):
        return is_registered(layer)
    known = {id(kernel.variable) for kernel in described(layer)}
    return all(id(v) in known for v in weights_alone(layer) if is_matrix(v))


def _named(place: Place) -> list[Kernel]:
    path = "/".join(name.lstrip("_") for name in place.path)
    return [kernel.within(path, "/") for kernel in kernels_of(place.layer)]


def _chosen(
    found: list[Kernel], patterns: Sequence[str], layer: keras.layers.Layer
) -> tuple[list[Kernel], list[Kernel]]:
    names = [kernel.name for kernel in found]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ValueError(
                f"Argument `kernels` must fit names of kernels of the layer: {names}. Received: "
                f"kernels with {pattern!r} for {type(layer).__name__} named '{layer.name}'"
            )
    kept = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
    chosen = [k if k.followed_by in kept else k.alone() for k in found if k.name in kept]
    return chosen, [kernel for kernel in found if kernel.name not in kept]
