"""Put wrappers around the layers of a finished model, and take them away again."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm._rebuilding import assign, from_config, layers_in, rebuild, wrappers_in
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
        where: Function that says of a layer whether to wrap it. Defaults to every layer with
            known kernels that is neither wrapped already nor part of a larger one.

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
    chosen = {id(layer) for layer in _candidates(model, where)}
    if not chosen:
        raise ValueError(
            "Argument `where` must choose at least one layer of the model. "
            f"Received: where={where!r} for model '{model.name}'"
        )
    taken = {layer.name for layer in layers_in(model)}
    created = set()

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if id(layer) not in chosen:
            return None
        kernels.check_registered(layer)
        new = wrapper(from_config(layer))
        if not isinstance(new, keras.layers.Layer):
            raise ValueError(
                "Argument `wrapper` must return a Keras layer. "
                f"Received: wrapper={wrapper!r}, which returned {new!r}"
            )
        if new.name in taken:
            new.name = f"{new.name}_{layer.name}"
        created.add(new.name)
        return new

    new_model, pairs = rebuild(model, replace, chosen)
    for old, new in pairs:
        added = [part for part in wrappers_in(new) if part.name in created]
        state = {id(variable) for part in added for variable in part.state}
        assign([v for v in new.weights if id(v) not in state], old.weights, old)
        for part in added:
            part.reset_state()
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

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if id(layer) not in chosen:
            return None
        plain = from_config(layer.layer)
        plain.trainable = plain.trainable and layer.trainable
        return plain

    new_model, pairs = rebuild(model, replace, chosen)
    for old, new in pairs:
        assign(new.weights, _folded_weights(old), old)
    folded = [
        FoldedLayer(
            layer.layer.name,
            type(layer.layer).__name__,
            type(layer).__name__,
            tuple(kernel.name for kernel in kernels.kernels_of(layer.layer)),
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
    for layer in layers_in(model):
        if layer is model or id(layer) in inside or isinstance(layer, keras.layers.InputLayer):
            continue
        wrapped = isinstance(layer, Reparameterization)
        wanted = kernels.is_registered(layer) if where is None else where(layer)
        if wrapped or wanted:
            inside |= {id(part) for part in layers_in(layer)}
        if wanted and not wrapped:
            chosen.append(layer)
    return chosen


def _folded_weights(layer: keras.layers.Layer) -> list[Any]:
    """Weights of a layer as they are once every wrapper in it is folded."""
    state, effective = set(), {}
    for wrapper in wrappers_in(layer):
        state |= {id(variable) for variable in wrapper.state}
        folded = wrapper.effective_kernels()
        for kernel in kernels.kernels_of(wrapper.layer):
            effective[id(kernel.variable)] = folded[kernel.name]
    return [
        effective.get(id(variable), variable)
        for variable in layer.weights
        if id(variable) not in state
    ]
