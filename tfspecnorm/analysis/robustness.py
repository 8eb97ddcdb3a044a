"""How far an input may be moved before a classification can change, from a certified bound."""

from typing import Any

import keras
import numpy as np

from tfspecnorm._util.arguments import check_model, check_positive_integer
from tfspecnorm.analysis._lipschitz_report import LipschitzReport
from tfspecnorm.analysis.lipschitz import lipschitz_bound
from tfspecnorm.layers._listing import plain
from tfspecnorm.surgery.graph import last_calls

_PROBABILITIES = (keras.activations.sigmoid, keras.activations.hard_sigmoid)


def certified_radius(
    model: keras.Model,
    inputs: Any,
    labels: Any,
    bound: LipschitzReport | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """For each input the ℓ₂ radius within which no change alters the right class.

        radius = (zᵧ − max over j ≠ y of zⱼ) / (√2 · L),   0 where that is negative
        radius = ±z / L with one output, + for class 1 and − for class 0, 0 where that is negative

    z are the model's outputs and L is its certified Lipschitz bound at inference, never the σ that
    a wrapper trained with. An output moves by L·‖change‖ at most, the difference of two outputs by
    √2·L·‖change‖. With one output the class is 1 where it is positive and 0 where it is negative.

    Guarantee: *certified* in exact arithmetic: every input closer than the radius is classified as
    the label. Outputs are computed in the model's precision; their rounding, up to about 1e-6 of
    their size in 32 bits, is not subtracted.

    Args:
        model: Built Sequential or Functional model with one input and one output
            `(batch, classes)` or `(batch, 1)`, logits rather than probabilities: a softmax flattens
            the margins, and a sigmoid has no sign.
        inputs: Array of at least one input.
        labels: Integer array `(batch,)` of the right classes.
        bound: What `lipschitz_bound` found for this model as it is now; must cover the inputs.
            Computed by default.
        batch_size: Inputs that the model is given at once. Defaults to 256.

    Returns:
        Array `(batch,)` of radii in the unit of the inputs.

    Raises:
        ValueError: If a layer has no bound, the bound does not cover the shape of the inputs,
            labels and outputs do not fit, one output goes through a sigmoid, or an argument is not
            as above.

    Example:

    >>> identity = keras.layers.Dense(2, kernel_initializer="identity", use_bias=False)
    >>> model = keras.Sequential([keras.Input((2,)), identity])
    >>> inputs = np.array([[1.0, 0.0], [1.0, 3.0]], "float32")
    >>> print(certified_radius(model, inputs, np.array([0, 0])).round(3))
    [0.707 0.   ]

    Reference: Tsuzuku, Sato, Sugiyama, "Lipschitz-Margin Training: Scalable Certification of
    Perturbation Invariance for Deep Neural Networks", 2018, arXiv:1802.04034.
    """
    check_model(model)
    batch_size = check_positive_integer("batch_size", batch_size)
    if bound is not None and not isinstance(bound, LipschitzReport):
        raise ValueError(
            f"Argument `bound` must be a `LipschitzReport` or `None`. Received: bound={bound!r}"
        )
    inputs, labels = np.asarray(inputs), np.asarray(labels)
    if inputs.dtype.kind in "OSU" or not inputs.ndim or not len(inputs):
        raise ValueError(
            "Argument `inputs` must be an array of at least one input. "
            f"Received: inputs of shape {inputs.shape} and type {inputs.dtype}"
        )
    shape = tuple(inputs.shape[1:])
    if bound is None:
        bound = lipschitz_bound(model, None if _is_fixed(model) else shape)
    if not bound.certified:
        raise ValueError(
            "Argument `model` must have a Lipschitz bound. "
            f"Received: model '{model.name}' in which these layers have none: {bound.unbounded}"
        )
    if not bound.covers(shape):
        raise ValueError(
            "Argument `bound` must cover the inputs. Received: inputs of shape "
            f"{shape} and a bound for {bound.input_shapes}: not covered"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Argument `model` must have one input and one output. "
            f"Received: model '{model.name}' with {len(model.inputs)} and {len(model.outputs)}"
        )
    outputs = model.predict(inputs, batch_size=batch_size, verbose=0)
    outputs = np.asarray(keras.tree.flatten(outputs)[0], "float64")
    fits = outputs.ndim == 2 and labels.shape == outputs.shape[:1] and labels.dtype.kind in "iu"
    if not fits or np.any((labels < 0) | (labels >= max(outputs.shape[1], 2))):
        raise ValueError(
            "Argument `labels` must be integers, one for each input, below the number of outputs, "
            "0 or 1 for one output. "
            f"Received: labels of shape {labels.shape} and type {labels.dtype}, outputs of shape "
            f"{outputs.shape}"
        )
    if outputs.shape[1] == 1:
        _check_logit(model)
        slope = bound.bound
        margins = np.where(labels == 1, 1.0, -1.0) * outputs[:, 0]
    else:
        slope = np.sqrt(2.0) * bound.bound
        rows = np.arange(len(labels))
        right = outputs[rows, labels]
        outputs[rows, labels] = -np.inf
        margins = right - outputs.max(axis=1)
    margins = np.maximum(margins, 0.0)
    return margins / slope if slope else np.where(margins > 0, np.inf, 0.0)


def _check_logit(model: keras.Model) -> None:
    """Raise a `ValueError` for a single output between 0 and 1, whose sign says nothing."""
    call = next(last_calls(model), None)
    last = None if call is None else plain(call.operation)
    if getattr(last, "activation", None) in _PROBABILITIES:
        raise ValueError(
            "Argument `model` must have a logit as its only output, positive for class 1: take the "
            f"activation off layer '{last.name}'. "
            f"Received: model '{model.name}' with activation={last.activation.__name__}"
        )


def _is_fixed(model: keras.Model) -> bool:
    return all(None not in tensor.shape[1:] for tensor in model.inputs)
