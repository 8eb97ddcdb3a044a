"""Put wrappers around layers of a model."""

import warnings
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.kernels.containers import held_in, is_graph, layers_in, walk
from tfspecnorm.kernels.holders import has_unknown_matrix, own_matrices
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery import _batch_normalization
from tfspecnorm.surgery._exchange import exchange, makes_wrappers, wrapped
from tfspecnorm.surgery.group import group
from tfspecnorm.surgery.own_classes import attach_wrappers, is_wrapped_model
from tfspecnorm.surgery.rebuild import NotExchangedError, from_config

Wrapper = Callable[[keras.layers.Layer], keras.layers.Layer]


def wrap(
    model: keras.Model,
    wrapper: Wrapper | dict[type, Wrapper | None],
    where: Callable[[keras.layers.Layer], bool] | None = None,
    remove_batch_normalization: bool = False,
    grouped: bool = False,
) -> keras.Model:
    """A new model in which layers are wrapped; weights are carried over.

    A wrapper has the name of its layer, unless it is made with a name, so that outputs, losses by
    name and `get_layer` stay as they were. `summary(expand_nested=True)` shows what is inside.
    Shared layers stay shared and nested models are entered. The state of the wrappers starts
    from the carried kernels: vectors converged, a `scales.Learned()` at their σ. A layer that
    holds other layers (`TimeDistributed`, a subclassed layer or model) is rebuilt from its
    configuration if one of them is to be wrapped.

    Args:
        model: Built Keras model: Sequential, Functional, or a subclass that can be rebuilt
            from its configuration.
        wrapper: A wrapper of `tfspecnorm.layers`, or a function from a layer to its wrapper;
            what returns the layer itself leaves it as it is. Or a rule for each type: a dict
            from layer class to one of these, or to `None` to leave layers of that class alone. A
            layer follows the rule of its nearest base class; without one it stays. A
            `Bidirectional` without a rule of its own follows that of the layer in it.
        where: Function that says of a layer whether to wrap it, for example
            `lambda layer: layer.name != "head"`; it is asked for layers inside other layers too.
            What it accepts without a matrix, such as a `ReLU`, stays as it is. Defaults to every
            layer with known kernels in the model, in models nested in it, and in layers such as
            `TimeDistributed`, that is not wrapped already.
        remove_batch_normalization: Whether each `BatchNormalization` that directly follows a
            chosen layer is taken out, since it would undo what the wrapper does. What it computes
            in evaluation goes into the layer's kernel, and into its bias, which is created if
            there is none; then the layer is wrapped. So a wrapper that keeps the layer's function
            keeps that of both. Others stay: one behind an activation, one with other inputs, and
            one whose input serves elsewhere too.
        grouped: Whether the norms of all kernels are computed at once, see `tfspecnorm.group`.

    Returns:
        New Keras model, not compiled. The given one is unchanged.

    Warns:
        UserWarning: Without `where`, if matrices are left as they are, with their names.

    Raises:
        ValueError: If an argument is not as above, the model is not built, no layer with known
            kernels is chosen, a chosen layer has a matrix that is not known, a layer cannot be
            rebuilt, or there is no batch normalization to remove.

    Example:

    >>> from tfspecnorm import layers
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden")])
    >>> wrapped = wrap(model, layers.SpectralNorm)
    >>> type(wrapped.get_layer("hidden")).__name__, type(wrapped.get_layer("hidden").layer).__name__
    ('SpectralNorm', 'Dense')
    >>> rules = {keras.layers.Conv2D: layers.MeanSpectralNorm, keras.layers.Dense: None}
    >>> inputs = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, use_bias=False)]
    >>> head = [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(2)]
    >>> model = wrap(keras.Sequential(inputs + head), rules, remove_batch_normalization=True)
    >>> [type(layer).__name__ for layer in model.layers]
    ['MeanSpectralNorm', 'Flatten', 'Dense']
    """
    check_model(model)
    check_boolean("remove_batch_normalization", remove_batch_normalization)
    check_boolean("grouped", grouped)
    rule = _rule(wrapper)
    if where is not None and (not callable(where) or isinstance(where, (type, keras.layers.Layer))):
        raise ValueError(
            "Argument `where` must be a function that says of a layer whether to wrap it, or "
            f"`None`. Received: where={where!r}"
        )
    layers = _candidates(model, where, rule)
    if not layers:
        already = wrappers_in(model) and where is None
        raise ValueError(
            "Argument `where` must choose at least one layer with known kernels"
            f"{'; those with known kernels are wrapped already' if already else ''}. "
            f"Received: where={where!r} for model '{model.name}'"
        )
    if where is None and not isinstance(wrapper, dict):
        _warn_of_matrices_left(model, layers)
    removed = _batch_normalization.followers(model, layers) if remove_batch_normalization else {}
    if remove_batch_normalization and not removed:
        raise ValueError(
            "Argument `remove_batch_normalization` must be `False` for a model in which no "
            "BatchNormalization directly follows a chosen layer. "
            f"Received: remove_batch_normalization=True for model '{model.name}'"
        )

    def named(layer: keras.layers.Layer, make: Any = None) -> keras.layers.Layer:
        new = wrapped(rule(layer) if make is None else make, layer, wrapper)
        if isinstance(new, Reparameterization) and not new._is_named:
            new.name = layer.name
        return new

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        kernels.check_registered(layer)
        bare = _batch_normalization.with_bias if id(layer) in removed else from_config
        return named(bare(layer), rule(layer))

    def weights_of(layer: keras.layers.Layer) -> list[Any]:
        follower = removed.get(id(layer))
        if follower is None:
            return layer.weights
        return _batch_normalization.merged_weights(layer, follower)

    followers = {id(follower) for follower in removed.values()}
    if is_wrapped_model(model):
        new_model = attach_wrappers(model, named, layers)
    else:
        try:
            new_model = exchange(model, make, layers, weights_of, followers)
        except NotExchangedError:
            if removed:
                raise
            new_model = attach_wrappers(model, named, layers)
    return group(new_model) if grouped else new_model


def _rule(wrapper: Any) -> Callable[[keras.layers.Layer], Wrapper | None]:
    """Function from a layer to what wraps it, `None` to leave it."""
    if isinstance(wrapper, dict) and wrapper:
        classes = all(
            isinstance(key, type) and issubclass(key, keras.layers.Layer) for key in wrapper
        )
        if classes and all(value is None or makes_wrappers(value) for value in wrapper.values()):

            def nearest(layer: keras.layers.Layer) -> Wrapper | None:
                rules = (wrapper[base] for base in type(layer).__mro__ if base in wrapper)
                rule = next(rules, None)
                if rule is None and isinstance(layer, keras.layers.Bidirectional):
                    return nearest(layer.forward_layer)
                return rule

            return nearest
    elif makes_wrappers(wrapper):
        return lambda layer: wrapper
    raise ValueError(
        "Argument `wrapper` must be a wrapper of `tfspecnorm.layers`, a function from a layer to "
        "one, or a dict from layer class to one of these or `None`. "
        f"Received: wrapper={wrapper!r}"
    )


def _warn_of_matrices_left(model: keras.Model, chosen: list[keras.layers.Layer]) -> None:
    """Name the matrices that layers hold in their own code, where nothing can be exchanged."""
    covered = {id(part) for top in (*chosen, *wrappers_in(model)) for part in layers_in(top)}
    paths = [
        variable.path
        for layer in layers_in(model)
        if id(layer) not in covered
        for variable in own_matrices(layer)
    ]
    if paths:
        warnings.warn(
            f"`wrap` leaves {len(paths)} matrices of model '{model.name}' as they are: {paths}. "
            "Their layers are made in the code of another layer, or are not known: see "
            "`tfspecnorm.kernels.register`. Argument `where` says which layers are meant.",
            stacklevel=3,
        )


def _candidates(
    model: keras.Model,
    where: Callable[[keras.layers.Layer], bool] | None,
    rule: Callable[[keras.layers.Layer], Wrapper | None],
) -> list[keras.layers.Layer]:
    """The chosen layers, outermost first: what a chosen or wrapped layer holds is part of it."""

    def is_unit(layer: keras.layers.Layer) -> bool:
        if is_graph(layer) or isinstance(layer, keras.layers.InputLayer):
            return False
        known = kernels.is_registered(layer)
        wanted = (known if where is None else where(layer)) and rule(layer) is not None
        if known or isinstance(layer, Reparameterization):
            return wanted or isinstance(layer, Reparameterization)
        if wanted and has_unknown_matrix(layer):
            kernels.check_registered(layer)
        # There is nothing to wrap in it, or layers in it that `where` is asked for.
        return False

    places = walk(model, is_unit, held_in)
    units = [place.layer for place in places if place.is_unit]
    return [layer for layer in units if not isinstance(layer, Reparameterization)]
