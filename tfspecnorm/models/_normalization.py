"""What the `normalization` argument of the model builders stands for."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm.layers import SpectralNorm

WRAPPERS = {"spectral": SpectralNorm}


@dataclasses.dataclass(frozen=True)
class Normalization:
    """How a builder normalizes: what goes around a layer with a kernel, and what follows it.

    Args:
        name: Name that the user gave, or `"custom"` for a callable.
        wrapper: Callable from a layer to the layer that takes its place. `None` leaves the
            layers as they are.
        batch: Whether `BatchNormalization` follows the layers.
    """

    name: str
    wrapper: Callable[[keras.layers.Layer], keras.layers.Layer] | None = None
    batch: bool = False

    def wrap(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """The layer, or the wrapper around it."""
        return layer if self.wrapper is None else self.wrapper(layer)


def get(identifier: Any) -> Normalization:
    """A `Normalization` from its name or from a callable that wraps a layer.

    Args:
        identifier: `"none"`, `"batch"`, `"spectral"`, or a callable from a layer to a layer.

    Returns:
        The `Normalization`.

    Raises:
        ValueError: If `identifier` is neither.

    Example:

    >>> get("batch").batch
    True
    """
    if isinstance(identifier, str):
        if identifier in ("none", "batch"):
            return Normalization(identifier, batch=identifier == "batch")
        if identifier in WRAPPERS:
            return Normalization(identifier, wrapper=WRAPPERS[identifier])
    elif callable(identifier):
        return Normalization("custom", wrapper=identifier)
    known = ", ".join(f'"{name}"' for name in ("none", "batch", *WRAPPERS))
    raise ValueError(
        f"Argument `normalization` must be one of {known}, or a callable that wraps a layer. "
        f"Received: normalization={identifier!r}"
    )
