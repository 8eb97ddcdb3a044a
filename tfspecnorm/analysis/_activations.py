"""Lipschitz constants of activations, each with its derivation."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm.analysis._table import check_built, constant_of, register_constant

# A function of each entry has as its constant the largest |f′|; the last digit is rounded up.
_FIXED = {
    "linear": 1.0,  # f′ = 1
    "identity": 1.0,  # f′ = 1
    "relu6": 1.0,  # f′ is 0 or 1
    "tanh": 1.0,  # f′ = 1 − tanh² ≤ 1, at 0
    "hard_tanh": 1.0,  # f′ is 0 or 1
    "tanh_shrink": 1.0,  # f′ = tanh² < 1, in the limit
    "softplus": 1.0,  # f′ = sigmoid < 1, in the limit
    "log_sigmoid": 1.0,  # f′ = sigmoid(−x) < 1, in the limit
    "softsign": 1.0,  # f′ = 1/(1 + |x|)² ≤ 1, at 0
    "sparse_plus": 1.0,  # f′ = (x + 1)/2 between −1 and 1, up to 1
    "sparse_sigmoid": 0.5,  # f′ is 0 or 1/2
    "sigmoid": 0.25,  # f′ = f·(1 − f) ≤ 1/4, at 0
    "hard_sigmoid": 0.16666667,  # f′ is 0 or 1/6
    "hard_silu": 1.5,  # f′ = (2x + 3)/6 between −3 and 3, from −1/2 to 3/2
    "silu": 1.0998394,  # f″ = 0 where x·tanh(x/2) = 2, at 2.39936: f′ = 1.09983932
    "mish": 1.0884982,  # f′ is largest at 1.49057: 1.08849816
    "selu": 1.7580994,  # f′ = λα·eˣ for x < 0, up to λα = 1.75809934
    # J = diag(p) − p·pᵀ has rows of absolute sum 2·pᵢ·(1 − pᵢ) ≤ 1/2, at p = (1/2, 1/2, 0, …).
    "softmax": 0.5,
}
_FIXED["swish"] = _FIXED["silu"]
_FIXED["hard_swish"] = _FIXED["hard_silu"]

# f″ = φ(x)·(2 − x²) = 0 at √2: f′ = (1 + erf 1)/2 + 1/(e·√π) = 1.12890415.
_GELU = 1.1289042
# f′ of the formula with tanh is largest at 1.41850: 1.12899307.
_GELU_BY_TANH = 1.1289931


def _relu(negative_slope: float, max_value: float | None, threshold: float) -> float | None:
    """Pieces of slope 0, 1 and `negative_slope` that meet, unless there is a threshold.

    With a threshold t the function is negative_slope·(x − t) below t and x above: it jumps by t.
    """
    if threshold != 0 or (max_value is not None and max_value < 0):
        return None
    return _largest(negative_slope, least=0.0 if max_value == 0 else 1.0)


def _largest(values: Any, least: float = 1.0) -> float:
    """max(least, max |values|), which is NaN where a value is."""
    return float(np.maximum(least, np.max(np.abs(np.asarray(values, "float64")))))


# Rules of functions with parameters: from those and the size of the axis to the constant.
_WITH_PARAMETERS: dict[str, Callable[..., float | None]] = {
    "relu": lambda size, negative_slope=0.0, max_value=None, threshold=0.0: _relu(
        negative_slope, max_value, threshold
    ),
    # f′ is 1 or the slope.
    "leaky_relu": lambda size, negative_slope: _largest(negative_slope),
    # f′ = α·eˣ for x < 0, up to α.
    "elu": lambda size, alpha: _largest(alpha),
    # f′ = e^(x/α) < 1 for x < 0; it grows without bound if α is negative.
    "celu": lambda size, alpha: 1.0 if alpha > 0 else None,
    "gelu": lambda size, approximate: _GELU_BY_TANH if approximate else _GELU,
    # f′ = (1 + x/√(x² + b))/2 < 1.
    "squareplus": lambda size, b: 1.0 if b >= 0 else None,
    # f′ is 0 or 1; with a negative threshold the pieces do not meet.
    "soft_shrink": lambda size, threshold: 1.0 if threshold >= 0 else None,
    "sparsemax": lambda size, axis: 1.0 if _sparsemax_projects() else None,
    # J = I − 1·pᵀ is a projection, so ‖J‖ = ‖1·pᵀ‖ = √n·‖p‖ < √n, in the limit of one p = 1.
    "log_softmax": lambda size, axis: math.sqrt(size) if size and axis == -1 else None,
}


@functools.cache
def _sparsemax_projects() -> bool:
    """Whether `sparsemax` is the projection onto the simplex, which brings no points apart.

    Up to version 3.15 at least, Keras sums the cumulative sums of the support where it wants the
    last of them (keras-team/keras#23425). What it computes then is not continuous.
    """
    projected = ops.convert_to_numpy(ops.sparsemax(np.array([[0.0, 0.5, 1.0]], "float32")))
    return bool(np.allclose(projected, [[0.0, 0.25, 0.75]]))


def _table() -> list[tuple[Callable, Callable[..., float | None]]]:
    """Functions of `keras.activations` and `keras.ops` with their rules.

    `getattr`, because the oldest supported Keras lacks a few of the names.
    """
    rules = {name: lambda size, _c=constant, **_: _c for name, constant in _FIXED.items()}
    rules.update(_WITH_PARAMETERS)
    return [
        (getattr(module, name), rule)
        for module in (keras.activations, ops)
        for name, rule in rules.items()
        if hasattr(module, name)
    ]


_RULES = _table()


def activation_constant(activation: Callable | None, size: int | None = None) -> float | None:
    """Smallest certified ℓ₂ Lipschitz constant of an activation.

        L = sup ‖f(x) − f(y)‖₂ / ‖x − y‖₂   over all x ≠ y

    Guarantee: an upper bound for all inputs in exact arithmetic, not above the smallest one by
    more than its last digit.

    Args:
        activation: Function of `keras.activations` or `keras.ops`, such a function in a
            `functools.partial` with keywords, or a layer that is used as an activation. `None`
            is the identity, as in Keras.
        size: Length of the last axis, for functions that mix its entries.

    Returns:
        The constant, or `None` where there is none (`exponential`, `glu`, `hard_shrink`,
        `threshold`) or the function is unknown.

    Example:

    >>> activation_constant(keras.activations.sigmoid)
    0.25
    >>> activation_constant(keras.activations.log_softmax, size=4)
    2.0
    >>> activation_constant(keras.activations.exponential)
    """
    if activation is None:
        return 1.0
    if isinstance(activation, keras.layers.Layer):
        return constant_of(activation, (None, size))
    chosen: dict[str, Any] = {}
    if isinstance(activation, functools.partial) and not activation.args:
        activation, chosen = activation.func, activation.keywords
    rule = next((rule for known, rule in _RULES if known is activation), None)
    if rule is None:
        return None
    stated = inspect.signature(activation).parameters.values()
    parameters = {part.name: part.default for part in stated if part.default is not part.empty}
    return rule(size, **{**parameters, **chosen})


@register_constant(keras.layers.Activation)
def _activation(layer: Any, input_shape: tuple) -> float | None:
    return activation_constant(layer.activation, input_shape[-1])


@register_constant(keras.layers.ReLU)
def _relu_layer(layer: Any, input_shape: tuple) -> float | None:
    return _relu(layer.negative_slope, layer.max_value, layer.threshold)


@register_constant(keras.layers.LeakyReLU)
def _leaky_relu_layer(layer: Any, input_shape: tuple) -> float:
    return _largest(layer.negative_slope)


@register_constant(keras.layers.PReLU)
def _prelu(layer: Any, input_shape: tuple) -> float:
    check_built(layer)
    return _largest(ops.convert_to_numpy(layer.alpha))


@register_constant(keras.layers.ELU)
def _elu_layer(layer: Any, input_shape: tuple) -> float:
    return _largest(layer.alpha)


@register_constant(keras.layers.Softmax)
def _softmax_layer(layer: Any, input_shape: tuple) -> float:
    # Over several axes it is the softmax of all their entries together.
    return _FIXED["softmax"]
