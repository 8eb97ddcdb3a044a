"""Take wrappers and batch normalizations away: plain layers with the effective weights."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.kernels.attachment import plain_class, wrapper_around
from tfspecnorm.kernels.containers import held_in, layers_in, walk
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery import _batch_normalization
from tfspecnorm.surgery._exchange import weights_with
from tfspecnorm.surgery.own_classes import NotCopiedError, is_wrapped_model, remake
from tfspecnorm.surgery.rebuild import NotExchangedError, assign, carry_over, rebuild


@dataclasses.dataclass(frozen=True)
class FoldedLayer:
    """What `fold` did to one layer.

    Args:
        name: Name of the plain layer.
        layer: Class name of the plain layer.
        wrapper: Class name of the wrapper, `None` for a layer without one.
        kernels: Names of the kernels that were replaced.
        batch_norm: Name of the `BatchNormalization` that was folded too, `None` without one.
        stays: Whether the wrapper stays, because somebody's code makes it, and only calls its
            layer.
    """

    name: str
    layer: str
    wrapper: str | None
    kernels: tuple[str, ...]
    batch_norm: str | None = None
    stays: bool = False


def fold(
    model: keras.Model,
    report: bool = False,
    batch_norm: bool = False,
    into: keras.Model | None = None,
    in_place: bool = False,
) -> keras.Model | tuple[keras.Model, list[FoldedLayer]]:
    """A new model of plain layers that computes what the wrapped one computes in evaluation.

    Every wrapper becomes its inner layer, with that layer's name and the effective kernel;
    scales are multiplied in. Nothing of this package is left in the result: it loads and
    exports without it. Only a wrapper that the code of a layer or of a model makes stays where it
    is: it has the effective kernel, and does nothing but call its layer from now on. A model whose
    class `wrap` kept has that class again.

    With `batch_norm=True` what a `BatchNormalization` that directly follows a layer computes in
    evaluation goes into that layer too, wrapped or not:

        s = γ / √(variance + ε),   kernel ← s·kernel,   bias ← s·(bias − mean) + β

    Guarantee: exact, but for the rounding of the new weights.

    Args:
        model: Built Keras model: Sequential, Functional, or of a class with a `get_config`.
        report: Whether to return what was folded too.
        batch_norm: Whether to fold batch normalizations. A layer without a bias gets one. Others
            than those that directly follow a layer stay: one behind an activation, one with other
            inputs, one whose input serves elsewhere too, one that is called several times, and
            one in a model whose class makes its layers.
        into: Plain model of the same layers in the same order, which receives the weights and is
            returned, or `None` to make a new model.
        in_place: Whether to fold every wrapper where it is, in the given model, also one whose
            class has no configuration. Wrappers stay in it, each one only calls its layer, and
            files of the model still need this package. A compiled model is to be compiled again.

    Returns:
        New Keras model, not compiled, or with `report=True` a tuple of it and a list with one
        `FoldedLayer` for each layer that was folded. The given model is unchanged, but with
        `in_place=True`.

    Raises:
        ValueError: If the model or a wrapper in it is not built, its class cannot be made anew
            from its configuration, or `into` has other weights.

    Example:

    >>> from tfspecnorm import layers
    >>> wrapped = layers.SpectralNorm(keras.layers.Dense(4, name="hidden"))
    >>> model = keras.Sequential([keras.Input((3,)), wrapped])
    >>> plain, folded = fold(model, report=True)
    >>> folded
    [FoldedLayer(name='hidden', layer='Dense', wrapper='SpectralNorm', kernels=('kernel',), ...)]
    >>> type(plain.layers[0]).__name__
    'Dense'
    >>> convolution = keras.layers.Conv2D(4, 3, use_bias=False)
    >>> layers = [keras.Input((8, 8, 3)), convolution, keras.layers.BatchNormalization()]
    >>> [layer.use_bias for layer in fold(keras.Sequential(layers), batch_norm=True).layers]
    [True]
    """
    check_model(model)
    check_boolean("report", report)
    check_boolean("batch_norm", batch_norm)
    check_boolean("in_place", in_place)
    if batch_norm and (in_place or into is not None):
        raise ValueError(
            "Argument `batch_norm` must be `False` with `into` or `in_place`: the layers of the "
            "model stay. Received: batch_norm=True"
        )
    if into is not None:
        check_model(into, "into")
        new_model, folded = into, _fold_into(model, into)
    elif in_place:
        _check_wrappers_built(model)
        new_model, folded = model, [_folded_in_place(part) for part in wrappers_in(model)]
    else:
        new_model, folded = _folded(model, batch_norm)
    return (new_model, folded) if report else new_model


def fold_for_inference(model: keras.Model, batch_norm: bool = False) -> keras.Model:
    """The folded model, of which nothing but the outputs is wanted.

    A subclass of a Functional or Sequential model becomes a plain one, unless it has a `call` of
    its own: what it does in training does not matter.
    """
    return _folded(model, batch_norm, keeps_classes=False)[0]


@contextlib.contextmanager
def folded_for_inference(model: keras.Model, batch_norm: bool = False) -> Iterator[keras.Model]:
    """The same while the context is open, also of a model that cannot be copied.

    It is folded where it is, its batch normalizations stay, and it has its own weights again
    afterwards.
    """
    folded = None
    with contextlib.suppress(NotCopiedError):
        folded = fold_for_inference(model, batch_norm)
    if folded is not None:
        yield folded
        return
    wrappers = [part for part in wrappers_in(model) if not part.is_folded]
    weights = [ops.convert_to_numpy(variable) for variable in model.weights]
    try:
        yield fold(model, in_place=True)
    finally:
        for part in wrappers:
            part.is_folded = False
        model.set_weights(weights)


def _folded(
    model: keras.Model, batch_norm: bool, keeps_classes: bool = True
) -> tuple[keras.Model, list[FoldedLayer]]:
    new_model, folded = _without_wrappers(model, keeps_classes)
    if batch_norm:
        new_model, followed = _batch_normalization.merged(new_model, keeps_classes)
        for layer, follower in followed:
            entry = folded.get(id(layer)) or _plain_entry(layer)
            folded[id(layer)] = dataclasses.replace(entry, batch_norm=follower.name)
    return new_model, list(folded.values())


def _without_wrappers(
    model: keras.Model, keeps_classes: bool
) -> tuple[keras.Model, dict[int, FoldedLayer]]:
    """The model without wrappers, and what was folded by the `id` of the new layer."""
    _check_wrappers_built(model)
    if not is_wrapped_model(model):
        # What cannot be exchanged, because somebody's code makes it, is folded where it is.
        with contextlib.suppress(NotExchangedError):
            return _exchanged(model, keeps_classes)
    return _copied(model)


def _check_wrappers_built(model: keras.Model) -> None:
    for layer in wrappers_in(model):
        if not layer.built:
            raise ValueError(
                "Argument `model` must be built before it is folded: call it on data first. "
                f"Received: model '{model.name}' with unbuilt layer '{layer.name}'"
            )


def _exchanged(
    model: keras.Model, keeps_classes: bool
) -> tuple[keras.Model, dict[int, FoldedLayer]]:
    """The model with plain layers in the place of wrappers, as far as its configuration knows."""
    weights: dict[keras.layers.Layer, list[Any]] = {}
    folded: dict[int, FoldedLayer] = {}

    def plain(part: Any) -> keras.layers.Layer:
        if is_wrapped_model(part):
            copy, inside = _copied(part)
            weights[part] = copy.weights
            folded.update(inside)
            return copy
        weights[part] = part._folded_weights()
        return part._plain_layer()

    units = [p.layer for p in walk(model, _is_exchanged, held_in) if p.is_unit]
    new_model, pairs = rebuild(model, plain, set(map(id, units)), keeps_classes=keeps_classes)
    keys: dict[int, int] = {}
    for old, new in pairs:
        inside = [part for part in layers_in(old) if part in weights]
        if inside:
            assign(new.weights, weights_with(old, {part: weights[part] for part in inside}), old)
        else:
            carry_over(old, new)
        # A wrapper inside another layer goes by its own `id`, unless it is the only one there.
        keys |= {id(inside[0]): id(new)} if len(inside) == 1 else {}
        for part in wrappers_in(new):
            folded[id(part)] = _folded_in_place(part)
    exchanged = [part for part in units if part in weights and not is_wrapped_model(part)]
    return new_model, {keys.get(id(p), id(p)): _entry(p) for p in exchanged} | folded


def _is_exchanged(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, Reparameterization) or is_wrapped_model(layer)


def _copied(model: keras.Model) -> tuple[keras.Model, dict[int, FoldedLayer]]:
    """The model made anew by its class, whose attached layers become plain ones again."""
    copy, pairs = remake(model)
    folded = {}
    for old, new in pairs:
        around = wrapper_around(old)
        if around is not old:
            assign(new.weights, around._folded_weights(), old)
            folded[id(new)] = _entry(around)
        elif isinstance(new, Reparameterization):
            folded[id(new)] = _folded_in_place(new)
    return copy, folded


def _folded_in_place(wrapper: Reparameterization) -> FoldedLayer:
    wrapper._fold_in_place()
    return dataclasses.replace(_entry(wrapper), stays=True)


def _entry(wrapper: Reparameterization) -> FoldedLayer:
    return FoldedLayer(
        wrapper.layer.name,
        plain_class(wrapper.layer).__name__,
        type(wrapper).__name__,
        tuple(kernel.name for kernel in wrapper.kernels),
    )


def _plain_entry(layer: keras.layers.Layer) -> FoldedLayer:
    kernel = kernels.kernels_of(layer)[-1].name
    return FoldedLayer(layer.name, type(layer).__name__, None, (kernel,))


def _fold_into(model: keras.Model, twin: keras.Model) -> list[FoldedLayer]:
    """Gives a plain model of the same layers what the wrapped one computes with."""
    _check_wrappers_built(model)
    wrappers = wrappers_in(model)
    values = weights_with(model, {part: part._folded_weights() for part in wrappers})
    wanted = [tuple(value.shape) for value in values]
    received = [tuple(variable.shape) for variable in twin.weights]
    if wanted != received or wrappers_in(twin):
        raise ValueError(
            "Argument `into` must be a plain model with the layers of `model`, in the same order. "
            f"Received: into={twin.name!r} with weights of shapes {received}, wanted {wanted}"
        )
    for variable, value in zip(twin.weights, values, strict=True):
        variable.assign(ops.convert_to_numpy(value))
    return [_entry(wrapper) for wrapper in wrappers]
