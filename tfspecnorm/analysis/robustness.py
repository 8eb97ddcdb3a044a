"""How far an input may be moved before a classification can change, from a certified bound."""

from typing import Any

import keras
import numpy as np

from tfspecnorm.analysis.lipschitz import LipschitzReport, lipschitz_bound


def certified_radius(
    model: keras.Model,
    inputs: Any,
    labels: Any,
    bound: LipschitzReport | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """For each input the ℓ₂ radius within which no change alters the right class.

        radius = (zᵧ − max over j ≠ y of zⱼ) / (√2 · L),   0 where that is negative

    z are the model's outputs and L is its certified Lipschitz bound at inference, never the σ that
    a wrapper trained with. The difference of two outputs moves by √2·L·‖change‖ at most.

    Guarantee: *certified* in exact arithmetic: every input closer than the radius is classified as
    the label. Outputs are computed in the model's precision; their rounding, up to about 1e-6 of
    their size in 32 bits, is not subtracted.

    Args:
        model: Built Sequential or Functional model with one input and one output
            `(batch, classes)`, logits rather than probabilities: a softmax flattens the margins.
        inputs: Array of inputs.
        labels: Integer array `(batch,)` of the right classes.
        bound: What `lipschitz_bound` found for this model as it is now; must cover the inputs.
            Computed by default.
        batch_size: Inputs that the model is given at once. Defaults to 256.

    Returns:
        Array `(batch,)` of radii in the unit of the inputs.

    Raises:
        ValueError: If a layer has no bound, the bound does not cover the shape of the inputs, or
            labels and outputs do not fit.

    Example:

    >>> identity = keras.layers.Dense(2, kernel_initializer="identity", use_bias=False)
    >>> model = keras.Sequential([keras.Input((2,)), identity])
    >>> inputs = np.array([[1.0, 0.0], [1.0, 3.0]], "float32")
    >>> print(certified_radius(model, inputs, np.array([0, 0])).round(3))
    [0.707 0.   ]

    Reference: Tsuzuku, Sato, Sugiyama, "Lipschitz-Margin Training: Scalable Certification of
    Perturbation Invariance for Deep Neural Networks", 2018, arXiv:1802.04034.
    """
    inputs, labels = np.asarray(inputs), np.asarray(labels)
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
    outputs = np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), "float64")
    fits = outputs.ndim == 2 and labels.shape == outputs.shape[:1] and labels.dtype.kind in "iu"
    if not fits or np.any((labels < 0) | (labels >= outputs.shape[1])):
        raise ValueError(
            "Argument `labels` must be integers, one for each input, below the number of outputs. "
            f"Received: labels of shape {labels.shape} and type {labels.dtype}, outputs of shape "
            f"{outputs.shape}"
        )
    rows = np.arange(len(labels))
    right = outputs[rows, labels]
    outputs[rows, labels] = -np.inf
    margins = np.maximum(right - outputs.max(axis=1), 0.0)
    if bound.bound == 0.0:
        return np.where(margins > 0, np.inf, 0.0)
    return margins / (np.sqrt(2.0) * bound.bound)


def _is_fixed(model: keras.Model) -> bool:
    return all(None not in tensor.shape[1:] for tensor in model.inputs)
