"""From `keras.layers.SpectralNormalization`."""

from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery.rebuild import (
    carry_over,
    from_config,
    holds,
    makes_wrappers,
    rebuild,
    start,
    weights_with,
)


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
    old = {id(layer): layer for layer in layers_in(model) if _is_normalized(layer)}
    if not old:
        raise ValueError(
            "Argument `model` must hold a `keras.layers.SpectralNormalization`. "
            f"Received: model '{model.name}' without one"
        )
    exchanged: set[int] = set()
    created: set[str] = set()

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        exchanged.add(id(layer))
        new = _exchanged(layer, wrapper)
        if isinstance(new, Reparameterization):
            created.add(new.name)
        return new

    new_model, pairs = rebuild(model, replace, set(old))
    missed = sorted(layer.name for key, layer in old.items() if key not in exchanged)
    if missed:
        raise ValueError(
            "Argument `model` must name its layers in its configuration: one that is made in the "
            "code of a layer or a model cannot be exchanged. "
            f"Received: model '{model.name}' with {missed}"
        )
    for before, after in pairs:
        if not holds(before, exchanged):
            carry_over(before, after)
            continue
        # Keras' wrapper lists the kernel among its own variables, before those of its layer.
        inner = {part: part.layer.weights for part in layers_in(before) if _is_normalized(part)}
        added = [part for part in wrappers_in(after) if part.name in created]
        start(added, after, weights_with(before, inner), before)
    return new_model


def _is_normalized(layer: Any) -> bool:
    return isinstance(layer, keras.layers.SpectralNormalization)


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
    new = wrapper(inner)
    if new is inner:
        return inner
    if not isinstance(new, Reparameterization):
        raise ValueError(
            "Argument `wrapper` must return a wrapper of `tfspecnorm.layers`, or the layer itself "
            f"to leave it plain. Received: wrapper={wrapper!r}, returning {new!r}"
        )
    new.name = layer.name
    new.trainable = new.trainable and layer.trainable
    return new
