"""The layers of a model that have kernels, each once and under a name of its own."""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm.kernels import Kernel
from tfspecnorm.kernels.holders import layers_in
from tfspecnorm.layers._full_precision import read_kernel, read_master
from tfspecnorm.layers.reparameterization import Reparameterization

NOT_BUILT = "it is not built"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A layer with kernels.

    Args:
        name: Name of the layer, in a wrapper of the inner one, that no other layer has.
        layer: The wrapper, or the plain layer.
        kernels: The kernels that it trains.
    """

    name: str
    layer: keras.layers.Layer
    kernels: tuple[Kernel, ...]

    def column(self, kernel: Kernel) -> str:
        """Name of one of the kernels among all of the model."""
        return self.name if len(self.kernels) == 1 else f"{self.name}/{kernel.name}"

    def effective_kernels(self) -> dict[str, Any]:
        """What the layer computes with in evaluation, by the name of the kernel."""
        if isinstance(self.layer, Reparameterization):
            return self.layer.effective_kernels()
        return read_master(lambda: {part.name: read_kernel(part) for part in self.kernels})


def measured_layers(model: keras.Model) -> tuple[list[Measured], dict[str, str]]:
    """All layers with known kernels, in the order of the model.

    Returns:
        The layers, and for each one whose kernels cannot be told the reason by its name.
    """
    found = list(_walk(model, (), set()))
    paths = _paths([(path, _plain(layer).name) for path, layer in found])
    layers, left_out = [], {}
    for name, (_, layer) in zip(paths, found, strict=True):
        if not layer.built:
            left_out[name] = NOT_BUILT
            continue
        try:
            wrapped = isinstance(layer, Reparameterization)
            parts = layer.kernels if wrapped else kernels.kernels_of(layer)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        if parts:
            layers.append(Measured(name, layer, tuple(parts)))
    return layers, left_out


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, Reparameterization) else layer


def _walk(
    layer: keras.layers.Layer, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], keras.layers.Layer]]:
    """Layers with kernels inside a layer, with the names of the layers around each one."""
    for part in _held(layer):
        if id(part) in seen:
            continue
        seen.add(id(part))
        # Of a model the layers are measured one by one, not as one layer that holds them.
        known = not isinstance(part, keras.Model) and kernels.is_registered(part)
        if known or isinstance(part, Reparameterization):
            yield path, part
        else:
            yield from _walk(part, (*path, part.name), seen)


def _held(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers directly inside a layer."""
    if isinstance(layer, keras.Model):
        return layer.layers
    held, inside = [], set()
    for part in layers_in(layer)[1:]:
        if id(part) not in inside:
            held.append(part)
            inside |= {id(inner) for inner in layers_in(part)}
    return held


def _paths(found: list[tuple[tuple[str, ...], str]]) -> list[str]:
    """The name of each layer, with the path to it where the name alone is taken twice."""
    count = collections.Counter(name for _, name in found)
    names = ["/".join((*path, name)) if count[name] > 1 else name for path, name in found]
    taken: collections.Counter[str] = collections.Counter()
    unique = []
    for name in names:
        taken[name] += 1
        # Layers that a layer makes in its own code may have one name and one path.
        unique.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return unique
