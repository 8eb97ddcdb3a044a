"""Put wrappers around layers of a model."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.kernels.description import UnsuitableLayerError
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery import _batch_normalization
from tfspecnorm.surgery._choice import Wrapper, chosen_in, rule_of
from tfspecnorm.surgery._exchange import exchange, wrapped
from tfspecnorm.surgery.group import group
from tfspecnorm.surgery.own_classes import attach_wrappers, is_wrapped_model
from tfspecnorm.surgery.raw_matrices import NOT_WRAPPED, found_in
from tfspecnorm.surgery.rebuild import NotExchangedError, from_config


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
    rule = rule_of(wrapper)
    if where is not None and (not callable(where) or isinstance(where, (type, keras.layers.Layer))):
        raise ValueError(
            "Argument `where` must be a function that says of a layer whether to wrap it, or "
            f"`None`. Received: where={where!r}"
        )
    layers = chosen_in(model, where, rule)
    if not layers:
        already = wrappers_in(model) and where is None
        raise ValueError(
            "Argument `where` must choose at least one layer with known kernels"
            f"{'; those with known kernels are wrapped already' if already else ''}. "
            f"Received: where={where!r} for model '{model.name}'"
        )
    removed = _batch_normalization.followers(model, layers) if remove_batch_normalization else {}
    if remove_batch_normalization and not removed:
        raise ValueError(
            "Argument `remove_batch_normalization` must be `False` for a model in which no "
            "BatchNormalization directly follows a chosen layer. "
            f"Received: remove_batch_normalization=True for model '{model.name}'"
        )

    refused: dict[int, UnsuitableLayerError] = {}

    def named(layer: keras.layers.Layer) -> keras.layers.Layer:
        new = wrapped(rule(layer), layer, wrapper)
        if isinstance(new, Reparameterization) and not new._is_named:
            new.name = layer.name
        return new

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        bare = _batch_normalization.with_bias if id(layer) in removed else from_config
        return named(bare(layer))

    def make_attached(layer: keras.layers.Layer) -> keras.layers.Layer:
        # Nobody can change what somebody's code makes, so that others are wrapped.
        try:
            new = named(layer)
            if isinstance(new, Reparameterization):
                new._check_attachable()
        except UnsuitableLayerError as error:
            refused[id(layer)] = error
            return layer
        return new

    def weights_of(layer: keras.layers.Layer) -> list[Any]:
        follower = removed.get(id(layer))
        if follower is None:
            return layer.weights
        return _batch_normalization.merged_weights(layer, follower)

    followers = {id(follower) for follower in removed.values()}
    try:
        if is_wrapped_model(model):
            raise NotExchangedError
        new_model = exchange(model, make, layers, weights_of, followers)
    except NotExchangedError:
        if removed:
            raise
        new_model = attach_wrappers(model, make_attached, layers)
    if len(refused) == len(layers):
        raise next(iter(refused.values()))
    _warn_of_matrices_left(
        new_model, refused, all_wanted=where is None and not isinstance(wrapper, dict)
    )
    return group(new_model) if grouped else new_model


def _warn_of_matrices_left(
    model: keras.Model, refused: dict[int, UnsuitableLayerError], all_wanted: bool
) -> None:
    """Name the matrices that are left as they are although nobody chose to leave them."""
    left = []
    for matrix, layer in found_in(model):
        if id(layer) in refused:
            left.append(dataclasses.replace(matrix, reason=refused[id(layer)].reason))
        elif all_wanted and matrix.reason != NOT_WRAPPED:
            left.append(matrix)
    if left:
        warnings.warn(
            f"`wrap` leaves {len(left)} matrices of model '{model.name}' as they are: "
            f"{'; '.join(map(str, left))}. Argument `where` says which layers are meant, and "
            "`tfspecnorm.raw_matrices` lists what is left.",
            stacklevel=3,
        )
