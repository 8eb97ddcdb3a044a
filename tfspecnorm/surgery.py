"""Put wrappers around the layers of a finished model, and take them away again."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm._rebuilding import (
    assign,
    carry_over,
    from_config,
    is_graph,
    layers_in,
    rebuild,
    wrappers_in,
)
from tfspecnorm.layers._reparameterization import Reparameterization


@dataclasses.dataclass(frozen=True)
class FoldedLayer:
    """What `fold` did to one wrapper.

    Args:
        name: Name of the plain layer.
        layer: Class name of the plain layer.
        wrapper: Class name of the wrapper.
        kernels: Names of the kernels that were replaced.
    """

    name: str
    layer: str
    wrapper: str
    kernels: tuple[str, ...]


def wrap(
    model: keras.Model,
    wrapper: Callable[[keras.layers.Layer], keras.layers.Layer],
    where: Callable[[keras.layers.Layer], bool] | None = None,
) -> keras.Model:
    """A new model in which layers are wrapped; weights are carried over.

    Shared layers stay shared and nested models are entered. The state of the wrappers starts
    from the carried kernels: vectors converged, a `scales.Learned()` at their σ. A layer that
    holds other layers (`TimeDistributed`, a subclassed layer or model) is rebuilt from its
    configuration if one of them is to be wrapped.

    Args:
        model: Built Keras model: Sequential, Functional, or a subclass that can be rebuilt
            from its configuration.
        wrapper: `tfspecnorm.layers.SpectralNorm`, or a function from a layer to its wrapper.
            What returns the layer itself leaves it as it is.
        where: Function that says of a layer whether to wrap it; it is asked for layers inside
            other layers too. Defaults to every layer with known kernels in the model, in
            models nested in it, and in layers such as `TimeDistributed`, that is not wrapped
            already.

    Returns:
        New Keras model, not compiled. The given one is unchanged.

    Raises:
        ValueError: If the model is not built, no layer is chosen, a chosen layer has no known
            kernels, or a layer cannot be rebuilt.

    Example:

    >>> from tfspecnorm import layers
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden")])
    >>> wrapped = wrap(model, layers.SpectralNorm)
    >>> type(wrapped.layers[0]).__name__, wrapped.layers[0].layer.name
    ('SpectralNorm', 'hidden')
    """
    _check_model(model)
    layers = _candidates(model, where)
    if not layers:
        wrapped = wrappers_in(model) and where is None
        raise ValueError(
            "Argument `where` must choose at least one layer of the model"
            f"{'; those with known kernels are wrapped already' if wrapped else ''}. "
            f"Received: where={where!r} for model '{model.name}'"
        )
    taken = {layer.name for layer in layers_in(model)}
    exchanged, created = set(), set()

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if layer not in layers:
            return None
        kernels.check_registered(layer)
        plain = from_config(layer)
        new = wrapper(plain)
        exchanged.add(id(layer))
        if new is plain:
            return new
        if not isinstance(new, Reparameterization):
            raise ValueError(
                "Argument `wrapper` must return a wrapper of `tfspecnorm.layers`, or the layer "
                f"itself to leave it as it is. Received: wrapper={wrapper!r}, returning {new!r}"
            )
        if new.name in taken:
            new.name = f"{new.name}_{layer.name}"
        created.add(new.name)
        return new

    new_model, pairs = rebuild(model, replace, {id(layer) for layer in layers})
    missed = sorted(layer.name for layer in layers if id(layer) not in exchanged)
    if missed:
        raise ValueError(
            "Argument `where` must choose layers that can be exchanged: those that a layer or a "
            "model makes in its own code, and does not name in its configuration, cannot. "
            f"Received: where={where!r}, which chose {missed}"
        )
    for old, new in pairs:
        added = [part for part in wrappers_in(new) if part.name in created]
        if not added:
            carry_over(old, new)
            continue
        state = {id(variable) for part in added for variable in part.state}
        assign([v for v in new.weights if id(v) not in state], old.weights, old)
        for part in added:
            part.restart()
    return new_model


def fold(
    model: keras.Model, report: bool = False
) -> keras.Model | tuple[keras.Model, list[FoldedLayer]]:
    """A new model of plain layers that computes what the wrapped one computes in evaluation.

    Every wrapper becomes its inner layer, with that layer's name and the effective kernel;
    scales are multiplied in. Nothing of this package is left in the result: it loads and
    exports without it.

    Args:
        model: Built Keras model: Sequential, Functional, or a subclass that can be rebuilt
            from its configuration.
        report: Whether to return what was folded too.

    Returns:
        New Keras model, not compiled, or with `report=True` a tuple of it and a list with one
        `FoldedLayer` for each wrapper. The given model is unchanged.

    Raises:
        ValueError: If the model or a wrapper in it is not built, or a layer cannot be rebuilt
            without its wrappers.

    Example:

    >>> from tfspecnorm import layers
    >>> wrapped = layers.SpectralNorm(keras.layers.Dense(4, name="hidden"))
    >>> model = keras.Sequential([keras.Input((3,)), wrapped])
    >>> plain, folded = fold(model, report=True)
    >>> folded
    [FoldedLayer(name='hidden', layer='Dense', wrapper='SpectralNorm', kernels=('kernel',))]
    >>> type(plain.layers[0]).__name__
    'Dense'
    """
    _check_model(model)
    wrappers = wrappers_in(model)
    for layer in wrappers:
        if not layer.built:
            raise ValueError(
                "Argument `model` must be built before it is folded: call it on data first. "
                f"Received: model '{model.name}' with unbuilt layer '{layer.name}'"
            )
    chosen = {id(layer) for layer in wrappers}
    new_model, pairs = rebuild(
        model, lambda layer: _plain(layer) if id(layer) in chosen else None, chosen
    )
    if wrappers_in(new_model):
        raise ValueError(
            "Argument `model` must name its wrappers in its configuration: one that is made in "
            "the code of a layer or a model cannot be folded. "
            f"Received: model with {[part.name for part in wrappers_in(new_model)]}"
        )
    for old, new in pairs:
        if wrappers_in(old):
            assign(new.weights, _folded_weights(old), old)
        else:
            carry_over(old, new)
    folded = [
        FoldedLayer(
            layer.layer.name,
            type(layer.layer).__name__,
            type(layer).__name__,
            tuple(kernel.name for kernel in layer.kernels),
        )
        for layer in wrappers
    ]
    return (new_model, folded) if report else new_model


def warm_up(model: keras.Model) -> None:
    """Converge the vectors of every wrapper in a model to its kernels as they are now.

    Call it after kernels were loaded or assigned from elsewhere.

    Args:
        model: Built Keras model or layer.

    Raises:
        ValueError: If there is no wrapper in it or one is not built.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm import layers
    >>> layer = layers.SpectralNorm(keras.layers.Dense(4))
    >>> model = keras.Sequential([keras.Input((3,)), layer])
    >>> layer.layer.set_weights([np.ones((3, 4)), np.zeros(4)])
    >>> warm_up(model)
    >>> round(float(layer.sigma()["kernel"]), 4)
    3.4641
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"Argument `model` must be a Keras model. Received: model={model!r}")
    wrappers = wrappers_in(model)
    if not wrappers:
        raise ValueError(
            "Argument `model` must hold a layer wrapped by `tfspecnorm`. "
            f"Received: model '{model.name}' without one"
        )
    for layer in wrappers:
        layer.warm_up()


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `model` must be a Keras model. Received: model={model!r}")
    if not model.built:
        raise ValueError(
            "Argument `model` must be built: give it an `Input` or call it on data first. "
            f"Received: unbuilt model '{model.name}'"
        )


def _candidates(
    model: keras.Model, where: Callable[[keras.layers.Layer], bool] | None
) -> list[keras.layers.Layer]:
    """The chosen layers, outermost first: what a chosen or wrapped layer holds is part of it."""
    chosen, inside = [], set()
    for layer in _entered(model) if where is None else layers_in(model):
        if layer is model or id(layer) in inside or is_graph(layer):
            continue
        if isinstance(layer, keras.layers.InputLayer):
            continue
        wrapped = isinstance(layer, Reparameterization)
        wanted = kernels.is_registered(layer) if where is None else where(layer)
        if wrapped or wanted:
            inside |= {id(part) for part in layers_in(layer)}
        if wanted and not wrapped:
            chosen.append(layer)
    return chosen


def _entered(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers of a model, of models in it, and of layers that wrap one of any kind."""
    held = []
    if isinstance(layer, keras.Model):
        held = layer.layers
    elif isinstance(layer, keras.layers.Wrapper):
        held = [layer.layer]
    found = {id(part): part for child in held for part in (child, *_entered(child))}
    return list(found.values())


def _plain(wrapper: Reparameterization) -> keras.layers.Layer:
    """The inner layer anew, with what the wrapper decides for it."""
    plain = type(wrapper.layer).from_config(wrapper.folded_config())
    plain.trainable = plain.trainable and wrapper.trainable
    return plain


def _folded_weights(layer: keras.layers.Layer) -> list[Any]:
    """Weights of a layer as they are once every wrapper in it is folded.

    The weights of a wrapper are neighbours, and its layer's come last.
    """
    owners, folded = {}, {}
    for wrapper in wrappers_in(layer):
        folded[id(wrapper)] = wrapper.folded_weights()
        owners |= {id(variable): wrapper for variable in wrapper.weights}
    weights = []
    for variable in layer.weights:
        owner = owners.get(id(variable))
        weights += [variable] if owner is None else folded.pop(id(owner), [])
    return weights
