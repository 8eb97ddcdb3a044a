"""What a model holds: its wrappers, and all layers with kernels, each under a name of its own."""

import dataclasses
from typing import Any

import keras

from tfspecnorm.kernels.containers import layers_in, unique_names, walk
from tfspecnorm.kernels.description import kernels_of
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import is_registered
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
    # Of a model the layers are measured one by one, not as one layer that holds them.
    places = walk(model, lambda part: has_kernels(part) and not isinstance(part, keras.Model))
    found = [place for place in places if place.is_unit]
    names = unique_names(
        (plain(place.layer).name, tuple(part.name for part in place.around)) for place in found
    )
    layers, left_out = [], {}
    for name, (layer, *_) in zip(names, found, strict=True):
        try:
            if not layer.built:
                raise ValueError(NOT_BUILT)
            layers.append(measured(name, layer))
        except ValueError as error:
            left_out[name] = str(error)
    return [layer for layer in layers if layer.kernels], left_out


def measured(name: str, layer: keras.layers.Layer) -> Measured:
    """A layer with its kernels; a `ValueError` if they cannot be told."""
    wrapped = isinstance(layer, Reparameterization)
    return Measured(name, layer, tuple(layer.kernels if wrapped else kernels_of(layer)))


def has_kernels(layer: Any) -> bool:
    """Whether a layer is a wrapper or a layer of known kernels."""
    return isinstance(layer, Reparameterization) or is_registered(layer)


def plain(layer: Any) -> Any:
    """The layer in a wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, Reparameterization) else layer


def wrappers_in(layer: keras.layers.Layer) -> list[Reparameterization]:
    """The wrappers in a model or a layer, outer ones first, itself included.

    Also those that layers are attached to, which `model.layers` does not show: where the code of a
    class makes the layers, see `tfspecnorm.wrap`.

    Args:
        layer: Keras model or layer.

    Returns:
        List of wrappers; the layer of each one is its `layer`.

    Example:

    >>> from tfspecnorm import layers
    >>> hidden = layers.SpectralNorm(keras.layers.Dense(4, name="hidden"))
    >>> model = keras.Sequential([keras.Input((3,)), hidden])
    >>> [wrapper.layer.name for wrapper in wrappers_in(model)]
    ['hidden']
    """
    return [part for part in layers_in(layer) if isinstance(part, Reparameterization)]
