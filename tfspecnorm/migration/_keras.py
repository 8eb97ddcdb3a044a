"""From `keras.layers.SpectralNormalization`."""

from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.surgery._exchange import exchange, makes_wrappers, weights_with, wrapped
from tfspecnorm.surgery.rebuild import from_config


def from_keras(
    model: keras.Model,
    wrapper: Callable[[keras.layers.Layer], keras.layers.Layer] = SpectralNorm,
) -> keras.Model:
    """A new model in which `wrapper` takes the place of `keras.layers.SpectralNormalization`.

    A file is read by Keras first: `from_keras(keras.saving.load_model(path))`. Weights are
    carried over as they are; shared layers stay shared and nested models are entered. The new
    wrappers have the names of the old ones and, if `wrapper` is `SpectralNorm`, their number of
    power iterations. Keras' vectors are not used: those of the wrappers are converged to the
    carried kernels.

    Guarantee: Keras' layer evaluates with the kernel W as it is stored: on TensorFlow and
    PyTorch one of norm near 1, on JAX the raw one. `SpectralNorm` computes with W/σ(W), so
    outputs change by as much as σ(W) was away from 1. With `scale=scales.Learned()` it computes
    with W, and outputs stay what they were.

    Args:
        model: Built Keras model: Sequential, Functional, or a subclass that can be rebuilt
            from its configuration.
        wrapper: `tfspecnorm.layers.SpectralNorm`, or a function from the inner layer to its
            wrapper. What returns the inner layer itself leaves it plain.

    Returns:
        New Keras model, not compiled. The given one is unchanged.

    Raises:
        ValueError: If the model is not built, holds no `keras.layers.SpectralNormalization`, an
            inner layer has no known kernels, or a layer cannot be rebuilt.

    Example:

    >>> from tfspecnorm import layers, scales
    >>> old = keras.layers.SpectralNormalization(keras.layers.Dense(4), name="hidden")
    >>> model = keras.Sequential([keras.Input((3,)), old])
    >>> new = from_keras(model, lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()))
    >>> type(new.layers[0]).__name__, new.layers[0].name
    ('SpectralNorm', 'hidden')
    """
    check_model(model)
    if not makes_wrappers(wrapper):
        raise ValueError(
            "Argument `wrapper` must be `tfspecnorm.layers.SpectralNorm`, or a function from a "
            f"layer to its wrapper. Received: wrapper={wrapper!r}"
        )
    old = _normalized_in(model)
    if not old:
        raise ValueError(
            "Argument `model` must hold a `keras.layers.SpectralNormalization`. "
            f"Received: model '{model.name}' without one"
        )

    def weights_of(layer: keras.layers.Layer) -> list[Any]:
        # Keras' wrapper lists the kernel among its own variables, before those of its layer.
        return weights_with(layer, {part: part.layer.weights for part in _normalized_in(layer)})

    return exchange(model, lambda layer: _exchanged(layer, wrapper), old, weights_of)


def _normalized_in(layer: keras.layers.Layer) -> list[Any]:
    known = keras.layers.SpectralNormalization
    return [part for part in layers_in(layer) if isinstance(part, known)]


def _exchanged(
    layer: Any, wrapper: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.layers.Layer:
    """The new wrapper around a new inner layer."""
    inner = from_config(layer.layer)
    inner.trainable = inner.trainable and layer.trainable
    if wrapper is SpectralNorm:
        kernels.check_registered(inner)
        return SpectralNorm(
            inner,
            power_iterations=layer.power_iterations,
            name=layer.name,
            trainable=layer.trainable,
        )
    new = wrapped(wrapper, inner, wrapper)
    if new is inner:
        return inner
    new.name = layer.name
    new.trainable = new.trainable and layer.trainable
    return new
