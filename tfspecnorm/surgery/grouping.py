"""Measure the kernels of a model at once."""

import keras

from tfspecnorm._grouped_model import GroupedModel
from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.containers import is_graph
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.surgery.graph import is_subclass


def grouped(model: keras.Model) -> keras.Model:
    """The same model, with the norms of all kernels computed at once.

    A step of a deep network measures many small kernels, and each operation has a price of its
    own, above all the first time, when TensorFlow or JAX traces the step. Together they take far
    fewer operations; see the measurements in `docs/performance.md`.

    Guarantee: the same outputs, gradients and vectors, up to rounding. A wrapper that the model
    calls several times is measured once per call of the model, and its vectors take one step, not
    several. Wrappers stay what they are: called by themselves they measure for themselves.

    Args:
        model: Built Sequential or Functional model with wrappers that divide by a norm
            (`SpectralNorm`, `BidirectionalSpectralNorm`, `MeanSpectralNorm`), in it, in models
            nested in it, or in other layers.

    Returns:
        New Functional model, not compiled, with the *same* layers and variables. Saved files hold
        it as it is; `fold`, `wrap` and reports treat it as any other model.

    Raises:
        ValueError: If the model is not a built Sequential or Functional model, or has no such
            wrapper.

    Example:

    >>> from tfspecnorm import layers
    >>> dense = [layers.SpectralNorm(keras.layers.Dense(4)) for _ in range(3)]
    >>> model = grouped(keras.Sequential([keras.Input((4,)), *dense]))
    >>> model.layers[1] is dense[0]
    True
    """
    check_model(model)
    if not is_graph(model) or is_subclass(model):
        raise ValueError(
            "Argument `model` must be a plain Sequential or Functional model: a subclass may call "
            "other layers, and would lose its class. "
            f"Received: model={type(model).__name__} named '{model.name}'"
        )
    if not any(isinstance(part, DividedByNorm) for part in wrappers_in(model)):
        raise ValueError(
            "Argument `model` must have layers wrapped by `SpectralNorm`, "
            "`BidirectionalSpectralNorm` or `MeanSpectralNorm`. "
            f"Received: model '{model.name}' without any"
        )
    if isinstance(model, keras.Sequential):
        return GroupedModel(*model.inputs, *model.outputs, name=model.name)
    return GroupedModel(model.input, model.output, name=model.name)
