"""Operations that copy entries: transposition, slices, splitting, tiling, padding, ..."""

import math
from typing import Any

import numpy as np
from keras import KerasTensor, ops, tree

from tfspecnorm.analysis._merging import is_of_keras
from tfspecnorm.analysis._walk import Call, Signal

# Each output entry is one of the input entries or a zero, whatever the values are.
_ANY_SIZE = (
    *("Transpose", "Swapaxes", "Moveaxis", "Squeeze", "ExpandDims", "GetItem", "Stack"),
    *("Concatenate", "Flip", "Roll", "Repeat", "Tile", "Einsum"),
)
# How often an entry is copied depends on the size, or the result has no such axis.
_KNOWN_SIZE = (
    *("Reshape", "Split", "ArraySplit", "Unstack", "Take", "Pad", "BroadcastTo", "Rot90"),
    *("Tril", "Triu", "Hstack", "Vstack", "Ravel"),
)
# They stand for sizes that are not known.
_PRIMES = (11, 13, 17, 19)
_LARGEST = 2**26


def copies(call: Call) -> list[tuple[float, Signal]] | None:
    """The inputs with √m each, where each entry of the input has at most m copies.

    The copies are counted: the operation itself moves numbered entries. `None` for operations
    that do not copy, that move entries from one sample to another, or cut an axis whose size is
    not known: a result of unknown size could be repeated to fit another one.
    """
    name = type(call.layer).__name__
    if not is_of_keras(call.layer) or name not in _ANY_SIZE + _KNOWN_SIZE or not call.inputs:
        return None
    if name == "Einsum" and not _permutes(call.layer.subscripts):
        return None
    if name == "GetItem" and not _keeps_samples(call.args[1]):
        return None
    signals = list({id(signal.tensor): signal for signal in call.inputs}.values())
    counts = _most_copies(call, signals, any_size=name in _ANY_SIZE)
    if counts is None:
        return None
    return [(math.sqrt(count), signal) for count, signal in zip(counts, signals, strict=True)]


def _permutes(subscripts: str) -> bool:
    """Whether an einsum has each axis of its only operand once in the output."""
    operand, arrow, output = subscripts.replace(" ", "").partition("->")
    unique = len(set(operand.replace("...", ""))) == len(operand.replace("...", ""))
    return bool(arrow) and "," not in operand and unique and sorted(operand) == sorted(output)


def _keeps_samples(key: Any) -> bool:
    """Whether a slice takes the whole batch, of whatever size."""
    first = key[0] if isinstance(key, (list, tuple)) and key else key
    return first is Ellipsis or (isinstance(first, slice) and first == slice(None))


def _most_copies(call: Call, signals: list[Signal], any_size: bool) -> list[int] | None:
    """For each input the largest number of copies of one entry, over all outputs together."""
    known = all(None not in signal.tensor.shape[1:] for signal in signals)
    if not (known or any_size) or any(
        output.shape[:1] != signal.tensor.shape[:1] for output in call.outputs for signal in signals
    ):
        return None
    shapes = [_sized(signal.tensor.shape) for signal in signals]
    sizes = [math.prod(shape) for shape in shapes]
    if sum(sizes) > _LARGEST:
        return None
    # Numbers from 1: zeros are what padding adds.
    starts = np.cumsum([1, *sizes])
    numbered = {
        id(signal.tensor): np.arange(start, start + size, dtype="int32").reshape(shape)
        for signal, start, size, shape in zip(signals, starts, sizes, shapes, strict=False)
    }
    args = tree.map_structure(
        lambda part: (
            ops.convert_to_tensor(numbered[id(part)]) if isinstance(part, KerasTensor) else part
        ),
        call.args,
    )
    try:
        moved = [ops.convert_to_numpy(part) for part in tree.flatten(call.layer(*args))]
    except Exception:  # noqa: BLE001
        # Each backend has errors of its own for an index that a size does not have.
        return None
    if not all(map(_fits, moved, (output.shape for output in call.outputs))):
        return None
    counts = np.zeros(starts[-1], "int64")
    for part in moved:
        if not _stays_in_samples(part, shapes, starts):
            return None
        counts += np.bincount(part.ravel(), minlength=len(counts))
    return [int(counts[starts[i] : starts[i + 1]].max(initial=0)) for i in range(len(signals))]


def _sized(shape: tuple) -> tuple[int, ...]:
    """A shape of two samples, or as many as are fixed, with a prime for each unknown size."""
    unknown = iter(_PRIMES)
    batch, *rest = shape
    return (batch or 2, *(size or next(unknown) for size in rest))


def _fits(moved: np.ndarray, shape: tuple) -> bool:
    """Whether the result has the shape that is known of it, and no axis of a new unknown size."""
    return moved.ndim == len(shape) and all(
        size == wanted or (wanted is None and size in _PRIMES)
        for size, wanted in zip(moved.shape[1:], shape[1:], strict=True)
    )


def _stays_in_samples(moved: np.ndarray, shapes: list[tuple], starts: np.ndarray) -> bool:
    """Whether the entries of each sample of the result come from that sample."""
    if not moved.ndim or any(moved.shape[0] != shape[0] for shape in shapes):
        return False
    samples = np.arange(len(moved)).reshape(-1, *(1,) * (moved.ndim - 1))
    place = np.searchsorted(starts, moved, side="right") - 1
    lengths = np.array([math.prod(shape[1:]) for shape in shapes] + [1])
    sample = (moved - starts[np.maximum(place, 0)]) // np.maximum(lengths[np.maximum(place, 0)], 1)
    return bool(np.all((moved == 0) | (sample == samples)))
