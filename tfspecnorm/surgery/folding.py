"""Take wrappers and batch normalizations away: plain layers with the effective weights."""

import dataclasses

import keras

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery import _batch_normalization
from tfspecnorm.surgery._exchange import weights_with
from tfspecnorm.surgery.rebuild import assign, carry_over, rebuild


@dataclasses.dataclass(frozen=True)
class FoldedLayer:
    """What `fold` did to one layer.

    Args:
        name: Name of the plain layer.
        layer: Class name of the plain layer.
        wrapper: Class name of the wrapper, `None` for a layer without one.
        kernels: Names of the kernels that were replaced.
        batch_norm: Name of the `BatchNormalization` that was folded too, `None` without one.
    """

    name: str
    layer: str
    wrapper: str | None
    kernels: tuple[str, ...]
    batch_norm: str | None = None


def fold(
    model: keras.Model, report: bool = False, batch_norm: bool = False
) -> keras.Model | tuple[keras.Model, list[FoldedLayer]]:
    """A new model of plain layers that computes what the wrapped one computes in evaluation.

    Every wrapper becomes its inner layer, with that layer's name and the effective kernel;
    scales are multiplied in. Nothing of this package is left in the result: it loads and
    exports without it.

    With `batch_norm=True` what a `BatchNormalization` that directly follows a layer computes in
    evaluation goes into that layer too, wrapped or not:

        s = γ / √(variance + ε),   kernel ← s·kernel,   bias ← s·(bias − mean) + β

    Guarantee: exact, but for the rounding of the new weights.

    Args:
        model: Built Keras model: Sequential, Functional, or a subclass that can be rebuilt
            from its configuration.
        report: Whether to return what was folded too.
        batch_norm: Whether to fold batch normalizations. A layer without a bias gets one. Others
            than those that directly follow a layer stay: one behind an activation, one with other
            inputs, one whose input serves elsewhere too, and one that is called several times.

    Returns:
        New Keras model, not compiled, or with `report=True` a tuple of it and a list with one
        `FoldedLayer` for each layer that was folded. The given model is unchanged.

    Raises:
        ValueError: If the model or a wrapper in it is not built, or a layer cannot be rebuilt
            without its wrappers.

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
    new_model, folded = _folded(model, batch_norm)
    return (new_model, folded) if report else new_model


def fold_for_inference(model: keras.Model, batch_norm: bool = False) -> keras.Model:
    """The folded model, of which nothing but the outputs is wanted.

    A subclass of a Functional or Sequential model becomes a plain one, unless it has a `call` of
    its own: what it does in training does not matter.
    """
    return _folded(model, batch_norm, keeps_classes=False)[0]


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
    wrappers = wrappers_in(model)
    for layer in wrappers:
        if not layer.built:
            raise ValueError(
                "Argument `model` must be built before it is folded: call it on data first. "
                f"Received: model '{model.name}' with unbuilt layer '{layer.name}'"
            )
    chosen = {id(layer) for layer in wrappers}
    new_model, pairs = rebuild(model, _plain, chosen, keeps_classes=keeps_classes)
    if wrappers_in(new_model):
        raise ValueError(
            "Argument `model` must name its wrappers in its configuration: one that is made in "
            "the code of a layer or a model cannot be folded. "
            f"Received: model with {[part.name for part in wrappers_in(new_model)]}"
        )
    # A wrapper inside another layer goes by its own `id`, unless it is the only one there.
    keys = {id(layer): id(layer) for layer in wrappers}
    for old, new in pairs:
        inside = wrappers_in(old)
        if len(inside) == 1:
            keys[id(inside[0])] = id(new)
        if inside:
            folded_weights = {part: part._folded_weights() for part in inside}
            assign(new.weights, weights_with(old, folded_weights), old)
        else:
            carry_over(old, new)
    folded = {
        keys[id(layer)]: FoldedLayer(
            layer.layer.name,
            type(layer.layer).__name__,
            type(layer).__name__,
            tuple(kernel.name for kernel in layer.kernels),
        )
        for layer in wrappers
    }
    return new_model, folded


def _plain_entry(layer: keras.layers.Layer) -> FoldedLayer:
    kernel = kernels.kernels_of(layer)[-1].name
    return FoldedLayer(layer.name, type(layer).__name__, None, (kernel,))


def _plain(wrapper: Reparameterization) -> keras.layers.Layer:
    """The inner layer anew, with what the wrapper decides for it."""
    plain = type(wrapper.layer).from_config(wrapper._folded_config())
    plain.trainable = plain.trainable and wrapper.trainable
    return plain
