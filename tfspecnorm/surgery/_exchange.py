"""Puts wrappers in the place of layers, with the weights that these had."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery.rebuild import NotExchangedError, assign, carry_over, holds, rebuild


def exchange(
    model: keras.Model,
    make: Callable[[keras.layers.Layer], keras.layers.Layer],
    layers: list[keras.layers.Layer],
    weights_of: Callable[[keras.layers.Layer], list[Any]],
    removed: Collection[int] = (),
) -> keras.Model:
    """The model with other layers in the place of some; the state of wrappers follows from weights.

    Args:
        model: Built model.
        make: Function from one of the layers to a wrapper or a plain layer.
        layers: The layers that are exchanged.
        weights_of: Function from a layer that is or holds one of them to the weights of what takes
            its place, without the state of new wrappers.
        removed: As in `rebuild`.
    """
    made: dict[int, keras.layers.Layer] = {}

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        made[id(layer)] = new = make(layer)
        return new

    new_model, pairs = rebuild(model, replace, {id(layer) for layer in layers}, removed)
    missed = sorted(layer.name for layer in layers if id(layer) not in made)
    if missed:
        raise NotExchangedError(
            "Argument `model` must name the layers that are to be exchanged in its configuration: "
            "one that is made in the code of a layer or a model cannot be exchanged. "
            f"Received: model '{model.name}' with {missed}"
        )
    for old, new in pairs:
        if not holds(old, made):
            carry_over(old, new)
            continue
        ours = [made[id(part)] for part in layers_in(old) if id(part) in made]
        names = {part.name for part in ours if isinstance(part, Reparameterization)}
        added = [part for part in wrappers_in(new) if part.name in names]
        state = {id(variable) for part in added for variable in part.state}
        assign([v for v in new.weights if id(v) not in state], weights_of(old), old)
        for part in added:
            part.restart()
    return new_model


def wrapped(wrapper: Any, layer: keras.layers.Layer, given: Any) -> keras.layers.Layer:
    """What a function makes of a layer: a wrapper, or the layer itself.

    Args:
        wrapper: The function.
        layer: New layer.
        given: What the user gave as `wrapper`.

    Raises:
        ValueError: If it is neither.
    """
    new = wrapper(layer)
    if new is not layer and not isinstance(new, Reparameterization):
        raise ValueError(
            "Argument `wrapper` must return a wrapper of `tfspecnorm.layers`, or the layer "
            f"itself to leave it as it is. Received: wrapper={given!r}, returning {new!r}"
        )
    return new


def makes_wrappers(value: Any) -> bool:
    """Whether a value is one of our wrappers, or a function that may return one."""
    if isinstance(value, type) and issubclass(value, keras.layers.Layer):
        return issubclass(value, Reparameterization)
    return callable(value) and not isinstance(value, keras.layers.Layer)


def weights_with(
    layer: keras.layers.Layer, exchanged: Mapping[keras.layers.Layer, list[Any]]
) -> list[Any]:
    """The weights of a layer, with others for those of some layers in it, in their place.

    The weights of one layer are neighbours.
    """
    owners = {id(variable): part for part in exchanged for variable in part.weights}
    left = dict(exchanged)
    weights = []
    for variable in layer.weights:
        owner = owners.get(id(variable))
        weights += [variable] if owner is None else left.pop(owner, [])
    return weights
