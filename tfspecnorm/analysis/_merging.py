"""Lipschitz constants of what takes several inputs entry by entry: sums, products, maxima."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops, tree

from tfspecnorm.analysis._walk import Call, Passed, Signal


class Operand(NamedTuple):
    """An input of a merge.

    Args:
        constant: Its constant, 0 for a number or an array.
        size: Largest absolute value of an entry.
        repeats: How often each entry is repeated to fit the shape of the output.
    """

    constant: float
    size: float
    repeats: int


Merge = Callable[[list[Operand]], Passed]


def times(*factors: float) -> float:
    """The product, 0 if one factor is 0: what does not change is not changed without bound."""
    return 0.0 if 0.0 in factors else math.prod(factors)


def _moves(operand: Operand) -> float:
    """Constant of the operand once its entries are repeated: each counts √repeats."""
    return times(operand.constant, math.sqrt(operand.repeats))


def _sum(operands: list[Operand]) -> Passed:
    return Passed(sum(map(_moves, operands)), sum(operand.size for operand in operands))


def _average(operands: list[Operand]) -> Passed:
    total = _sum(operands)
    return Passed(total.constant / len(operands), total.size / len(operands))


def _largest_entries(operands: list[Operand]) -> Passed:
    # Each entry of a maximum differs by no more than that entry of one of the inputs.
    return Passed(math.hypot(*map(_moves, operands)), max(operand.size for operand in operands))


def _product(operands: list[Operand]) -> Passed:
    """Σᵢ Lᵢ·∏ of the sizes of the others: a·b − a′·b′ = (a − a′)·b + a′·(b − b′).

    Where a factor is not bounded, the slope in the others grows with it, and there is no constant.
    """
    sizes = [operand.size for operand in operands]
    constant = sum(
        times(_moves(operand), *sizes[:place], *sizes[place + 1 :])
        for place, operand in enumerate(operands)
    )
    return Passed(constant, times(*sizes))


_LAYERS: dict[type, Merge] = {
    keras.layers.Add: _sum,
    keras.layers.Subtract: _sum,
    keras.layers.Average: _average,
    keras.layers.Multiply: _product,
    keras.layers.Maximum: _largest_entries,
    keras.layers.Minimum: _largest_entries,
    keras.layers.Concatenate: _largest_entries,
}
# Names of the operations behind `x + y`, `keras.ops.maximum`, ...
_OPERATIONS: dict[str, Merge] = {
    "Add": _sum,
    "Subtract": _sum,
    "Multiply": _product,
    "Divide": _product,
    "TrueDivide": _product,
    "Maximum": _largest_entries,
    "Minimum": _largest_entries,
    "Where": _largest_entries,
}


def merge_of(call: Call) -> Merge | None:
    """The rule for what a call makes of its inputs, `None` if it does not merge them."""
    if isinstance(call.layer, keras.layers.Layer):
        return _LAYERS.get(type(call.layer))
    return _OPERATIONS.get(type(call.layer).__name__) if is_of_keras(call.layer) else None


def is_of_keras(operation: Any) -> bool:
    """Whether an operation is one of `keras.ops`, and no other of the same name."""
    return type(operation).__module__.partition(".")[0] == "keras"


def operands_of(call: Call) -> list[Operand] | None:
    """The inputs of a merge, with the numbers and arrays among them.

    `None` if it is not known how often they are repeated, or a divisor or a condition depends on
    the inputs of the model.
    """
    (output,) = call.outputs
    is_layer = isinstance(call.layer, keras.layers.Layer)
    parts = list(tree.flatten(call.args[0]) if is_layer else call.args)
    signals = {id(signal.tensor): signal for signal in call.inputs}
    parts = [signals.get(id(part), part) for part in parts]
    name = type(call.layer).__name__
    if name == "Concatenate":
        rank = len(output.shape)
        # Samples that are put behind samples might be taken for the axis of a sequence.
        if call.layer.axis % rank == 0:
            return None
        return [Operand(part.constant, part.size, 1) for part in parts]
    if is_layer and len({len(part.tensor.shape) for part in parts}) > 1:
        # Keras puts the new axes of shorter inputs behind the batch, not in front.
        return None
    if name == "Where":
        if isinstance(parts[0], Signal):
            return None
        parts = parts[1:]
    if name in ("Divide", "TrueDivide"):
        divisor = None if isinstance(parts[1], Signal) else _array(parts[1])
        if divisor is None or not np.all(divisor):
            return None
        parts[1] = 1.0 / divisor
    operands = [_operand(part, output.shape) for part in parts]
    return None if None in operands else operands


def _operand(part: Any, shape: tuple) -> Operand | None:
    if isinstance(part, Signal):
        repeats = _repeats(part.tensor.shape, shape)
        return None if repeats is None else Operand(part.constant, part.size, repeats)
    array = _array(part)
    if array is None:
        return None
    size = float(np.max(np.abs(array), initial=0.0))
    return Operand(0.0, size if math.isfinite(size) else math.inf, 1)


def _array(part: Any) -> np.ndarray | None:
    """A number, array, tensor or variable in float64; `None` for anything else."""
    try:
        return np.asarray(ops.convert_to_numpy(part), "float64")
    except (TypeError, ValueError):
        return None


def _repeats(shape: tuple, whole: tuple) -> int | None:
    """How often an entry of an input is repeated to fit; `None` if that is not known.

    Axes of unknown size count as alike: `LipschitzReport.covers` looks at the sizes themselves.
    """
    missing = len(whole) - len(shape)
    repeats = 1
    for place, (own, wanted) in enumerate(zip((1,) * missing + tuple(shape), whole, strict=True)):
        if own == wanted and (own is not None or place >= missing):
            continue
        if own != 1 or wanted is None:
            return None
        repeats *= wanted
    return repeats
