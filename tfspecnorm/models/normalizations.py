"""What the `normalization` argument of the model builders stands for."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean, check_fraction, check_name, check_positive
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)

Wrapper = Callable[[keras.layers.Layer], keras.layers.Layer]

# Between the variance of a LeCun or Xavier start, which dividing by a spectral norm keeps, and the
# variance of a Kaiming start, which makes up for a ReLU, lies a factor of two.
DEFAULT_SCALE = math.sqrt(2.0)

# That of the papers' code, and of `MeanSpectralNorm`; with Keras' 0.99 a short training ends before
# the moving averages have followed.
BATCH_MOMENTUM = 0.9

_SCALED = {"scaled-spectral": SpectralNorm, "bidirectional-scaled": BidirectionalSpectralNorm}
_WRAPPERS = {
    "spectral": SpectralNorm,
    "bidirectional": BidirectionalSpectralNorm,
    "mean-spectral": MeanSpectralNorm,
    "weight": WeightNorm,
    **_SCALED,
}
TAKE_SCALE = (*_SCALED, "mean-spectral")
NAMES = (
    "none",
    "batch",
    "spectral",
    "scaled-spectral",
    "bidirectional",
    "bidirectional-scaled",
    "mean-spectral",
    "weight",
)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """How a builder normalizes: what goes around a layer with a kernel, and what follows it.

    Args:
        name: Name for messages and titles.
        wrapper: Callable from a layer to the layer that takes its place. `None` leaves the
            layers as they are.
        linear: The same for a layer from whose outputs no mean is to be taken, such as a head,
            and the first layers of `sn_dcgan_discriminator`. Defaults to `wrapper`.
        unscaled: The same as `linear` for a layer whose outputs go straight into another
            normalized layer, which has the scale of both. Defaults to `linear`.
        batch: Whether `BatchNormalization` follows the layers.
        negative_slope: Slope below zero of the activations where a builder leaves it open.

    Example:

    >>> import functools
    >>> from tfspecnorm.models import normalizations, vgg7
    >>> three = Normalization("three", functools.partial(SpectralNorm, power_iterations=3))
    >>> vgg7(normalization=three).layers[1].power_iterations
    3
    """

    name: str
    wrapper: Wrapper | None = None
    linear: Wrapper | None = None
    unscaled: Wrapper | None = None
    batch: bool = False
    negative_slope: float = 0.1

    def __post_init__(self) -> None:
        check_name(self.name)
        for argument in ("wrapper", "linear", "unscaled"):
            value = getattr(self, argument)
            if value is not None and not callable(value):
                raise ValueError(
                    f"Argument `{argument}` must be a callable that wraps a layer, or `None`. "
                    f"Received: {argument}={value!r}"
                )
        check_boolean("batch", self.batch)
        check_fraction("negative_slope", self.negative_slope)

    def wrap(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """The layer, or the wrapper around it."""
        return _wrapped(layer, self.wrapper)

    def wrap_linear(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """The same for a layer from whose outputs no mean is to be taken."""
        return _wrapped(layer, self.linear or self.wrapper)

    def wrap_unscaled(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """The same for a layer that another one follows directly."""
        return _wrapped(layer, self.unscaled or self.linear or self.wrapper)

    def follow(self, outputs: Any, name: str, **arguments: Any) -> Any:
        """The outputs of a layer, after `BatchNormalization` if that is the normalization.

        Args:
            outputs: Symbolic tensor.
            name: Name of the `BatchNormalization`.
            **arguments: More arguments of it; `momentum` is 0.9 otherwise.

        Returns:
            Symbolic tensor.
        """
        if not self.batch:
            return outputs
        arguments = {"momentum": BATCH_MOMENTUM, **arguments}
        return keras.layers.BatchNormalization(name=name, **arguments)(outputs)


def get(identifier: Any, scale: float | None = None) -> Normalization:
    """A `Normalization` from its name, from a callable that wraps a layer, or as it is.

    | name                                        | layers with a kernel                       |
    | ------------------------------------------- | ------------------------------------------ |
    | `"none"`                                    | plain                                      |
    | `"batch"`                                   | no bias, followed by `BatchNormalization`  |
    | `"spectral"`, `"scaled-spectral"`           | in `SpectralNorm` (SN, SSN)                |
    | `"bidirectional"`, `"bidirectional-scaled"` | in `BidirectionalSpectralNorm` (BSN, BSSN) |
    | `"mean-spectral"`                           | in `MeanSpectralNorm` (MSN)                |
    | `"weight"`                                  | in `WeightNorm` (WN)                       |

    Args:
        identifier: One of the names above, a callable from a layer to the layer that takes its
            place, such as a wrapper of `tfspecnorm.layers`, or a `Normalization`.
        scale: Positive number c that `"scaled-spectral"` and `"bidirectional-scaled"` multiply
            with, by default √2, which makes up for a ReLU; and `"mean-spectral"`, by default 1 as
            in the paper. No other normalization takes it.

    Returns:
        The `Normalization`.

    Raises:
        ValueError: If `identifier` is none of these, or `scale` is not positive or does not
            apply.

    Example:

    >>> get("batch").batch
    True
    >>> get("scaled-spectral", scale=1.6).wrap(keras.layers.Dense(3)).scale.value
    1.6

    Reference: Lin, Sekar, Fanti, "Why Spectral Normalization Stabilizes GANs: Analysis and
    Improvements", 2021, arXiv:2009.02773.
    """
    if scale is not None:
        check_positive("scale", scale)
        if not isinstance(identifier, str) or identifier not in TAKE_SCALE:
            raise ValueError(
                "Argument `scale` must be `None` unless `normalization` is one of "
                f"{_listed(TAKE_SCALE)}. Received: scale={scale!r}, normalization={identifier!r}"
            )
    if isinstance(identifier, Normalization):
        return identifier
    if isinstance(identifier, str):
        if identifier in ("none", "batch"):
            return Normalization(identifier, batch=identifier == "batch", negative_slope=0.0)
        if identifier in _SCALED:
            plain = _SCALED[identifier]
            scaled = functools.partial(plain, scale=scale or DEFAULT_SCALE)
            return Normalization(identifier, scaled, unscaled=plain)
        if identifier == "mean-spectral":
            mean, linear = (
                functools.partial(wrapper, scale=scale or 1.0)
                for wrapper in (MeanSpectralNorm, SpectralNorm)
            )
            return Normalization(identifier, mean, linear=linear, unscaled=SpectralNorm)
        if identifier == "weight":
            return Normalization(identifier, WeightNorm, negative_slope=0.0)
        if identifier in _WRAPPERS:
            return Normalization(identifier, _WRAPPERS[identifier])
    elif callable(identifier) and not isinstance(identifier, keras.layers.Layer):
        return Normalization("custom", identifier)
    raise ValueError(
        f"Argument `normalization` must be one of {_listed(NAMES)}, a callable that wraps a "
        f"layer, or a `Normalization`. Received: normalization={identifier!r}"
    )


def _wrapped(layer: keras.layers.Layer, wrapper: Wrapper | None) -> keras.layers.Layer:
    if wrapper is None:
        return layer
    wrapped = wrapper(layer)
    if not isinstance(wrapped, keras.layers.Layer):
        raise ValueError(
            "Argument `normalization` must return a layer for a layer. "
            f"Received: normalization={wrapper!r}, which returned {wrapped!r}"
        )
    return wrapped


def _listed(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)
