"""Lipschitz constants of operations such as `keras.ops.tanh`, on one input."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from tfspecnorm.analysis._activations import activation_constant
from tfspecnorm.analysis._copies import copies
from tfspecnorm.analysis._merging import is_of_keras, times
from tfspecnorm.analysis._sizes import size_of_activation
from tfspecnorm.analysis._walk import Call, Signal

# Constant and largest absolute value of functions of each entry.
_OF_ENTRIES = {
    "Sin": (1.0, 1.0),
    "Cos": (1.0, 1.0),
    "Arctan": (1.0, math.pi / 2),  # f′ = 1/(1 + x²)
    "Arcsinh": (1.0, math.inf),  # f′ = 1/√(1 + x²)
    "Erf": (1.1283792, 1.0),  # f′ = 2/√π·e^(−x²)
}
# The entries stay what they are, or change their sign.
_SAME_SIZE = ("Identity", "Copy", "StopGradient", "Negative", "Abs", "Absolute")
# The gradient of a maximum or of log Σ eˣ has entries ≥ 0 of sum 1, that of a norm has length 1.
_REDUCED_BY_ONE = ("Max", "Amax", "Min", "Amin", "Logsumexp", "Norm")


class Moves(NamedTuple):
    """What an operation makes of its inputs.

    Args:
        inputs: Pairs of the constant in an input and the input; together they count √Σ².
        size: Largest absolute value of an entry of the outputs.
    """

    inputs: list[tuple[float, Signal]]
    size: float


def moves_of(call: Call) -> Moves | None:
    """What an operation of `keras.ops` makes of its inputs; `None` if it has no constant."""
    if not is_of_keras(call.layer):
        return None
    copied = copies(call)
    if copied is not None:
        return Moves(copied, max(signal.size for _, signal in copied))
    if len(call.inputs) != 1 or len(call.args) != 1:
        return None
    (signal,), name = call.inputs, type(call.layer).__name__
    found = (
        _entry_by_entry(call.layer, name, signal)
        or _reduced(call.layer, name, signal)
        or _activated(call.layer, signal)
    )
    return None if found is None else Moves([(found[0], signal)], found[1])


def _entry_by_entry(layer: Any, name: str, signal: Signal) -> tuple[float, float] | None:
    if name in _OF_ENTRIES:
        return _OF_ENTRIES[name]
    if name in _SAME_SIZE:
        return 1.0, signal.size
    if name == "Square":
        # The slope is 2·x.
        return 2 * signal.size, times(signal.size, signal.size)
    if name == "Clip" and all(isinstance(end, (int, float)) for end in (layer.x_min, layer.x_max)):
        return 1.0, float(max(abs(layer.x_min), abs(layer.x_max)))
    if name == "Cast":
        # A whole number jumps, unless it comes from one.
        kept = keras.backend.is_float_dtype(layer.dtype) or signal.tensor.dtype == layer.dtype
        return (1.0, signal.size) if kept else None
    return None


def _reduced(layer: Any, name: str, signal: Signal) -> tuple[float, float] | None:
    """Reductions over axes of a sample."""
    if name not in (*_REDUCED_BY_ONE, "Sum", "Mean") or layer.axis is None:
        return None
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    shape = signal.tensor.shape
    axes = [axis % len(shape) for axis in axes]
    if 0 in axes:
        return None
    if name == "Norm":
        # Over two axes `ord=2` is the largest singular value, which is no larger.
        return (1.0, math.inf) if layer.ord in (None, 2, "fro") else None
    if name in _REDUCED_BY_ONE:
        keeps_size = name != "Logsumexp" and getattr(layer, "initial", None) is None
        return 1.0, signal.size if keeps_size else math.inf
    if name == "Mean":
        # A row of 1/n has the norm 1/√n; an unknown size is at least 1.
        return 1 / math.sqrt(math.prod(shape[axis] or 1 for axis in axes)), signal.size
    # A row of ones has the norm √n.
    entries = [shape[axis] for axis in axes]
    if None in entries:
        return None
    return math.sqrt(math.prod(entries)), times(math.prod(entries), signal.size)


def _activated(layer: Any, signal: Signal) -> tuple[float, float] | None:
    """An activation, from the function of `keras.activations` or `keras.ops` of that name."""
    function = _function_of(type(layer).__name__)
    if function is None:
        return None
    parameters = list(inspect.signature(function).parameters)[1:]
    stated = {
        key: value
        for key, value in vars(layer).items()
        if not key.startswith("_") and key not in ("name", "auto_config")
    }
    if not stated.keys() <= set(parameters):
        # It has options that are not those of the function.
        return None
    function = functools.partial(function, **stated)
    factor = activation_constant(function, signal.tensor.shape[-1])
    return None if factor is None else (factor, size_of_activation(function, signal.size))


@functools.cache
def _function_of(name: str) -> Callable | None:
    for module in (keras.activations, ops):
        for key, function in vars(module).items():
            if key.replace("_", "") == name.lower() and inspect.isfunction(function):
                return function
    return None
