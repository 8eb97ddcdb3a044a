"""Windows along one axis: how often an entry is in one, and the norm of averaging over them."""

import functools
import math
from typing import NamedTuple

import numpy as np

# Up to this size the norm is that of the dense matrix.
_LARGEST_DENSE = 512
# Up to this window the bound that holds for every size is searched.
_LARGEST_SEARCHED = 64
# Steps of the power iteration in that bound.
_STEPS = 4
# More than the rounding of LAPACK, which is some 1e-15 times the norm.
_ROUNDED_UP = 1.0 + 1e-12


class Windows(NamedTuple):
    """Windows of entries along an axis, which may reach beyond its ends.

    Args:
        starts: First position of each window.
        stops: Position behind the last one of each window.
        size: Number of entries of the axis.
    """

    starts: np.ndarray
    stops: np.ndarray
    size: int


def pooling_windows(size: int, pool: int, stride: int, padding: str) -> Windows:
    """The windows of a pooling layer, of which padding "same" has ⌈size / stride⌉."""
    if padding == "same":
        starts = np.arange(-(-size // stride)) * stride - _padded(size, pool, stride) // 2
    else:
        starts = np.arange(0, size - pool + 1, stride)
    return Windows(starts, starts + pool, size)


def adaptive_windows(size: int, count: int) -> Windows:
    """The windows of an adaptive pooling layer: ⌊i·size/count⌋ to ⌈(i + 1)·size/count⌉."""
    number = np.arange(count)
    return Windows(number * size // count, -(-(number + 1) * size // count), size)


def pads_unevenly(size: int, pool: int, stride: int) -> bool:
    """Whether padding "same" adds one position more at the end than in front."""
    return _padded(size, pool, stride) % 2 == 1


def most_windows(windows: Windows) -> int:
    """The largest number of windows that one entry is in."""
    changes = np.zeros(windows.size + 1, "int64")
    np.add.at(changes, np.maximum(windows.starts, 0), 1)
    np.add.at(changes, np.minimum(windows.stops, windows.size), -1)
    return int(np.cumsum(changes).max())


def average_norm(windows: Windows, repeats_border: bool = False) -> float:
    """Largest singular value of A, whose row i averages over window i.

    Guarantee: exact up to rounding, and rounded up, for sizes up to 512; beyond it the upper
    bound of `average_bound`.

    Args:
        windows: The `Windows`.
        repeats_border: Whether positions beyond the ends count with the value of the entry at
            the end, or do not count at all.

    Example:

    >>> average_norm(pooling_windows(4, 2, 2, "valid")) ** 2
    0.5000000000000001
    """
    bound = average_bound(windows, repeats_border)
    if not len(windows.starts) or max(windows.size, len(windows.starts)) > _LARGEST_DENSE:
        return bound
    entries, weights = _entries_and_weights(windows, repeats_border)
    matrix = np.zeros((len(entries), windows.size))
    np.add.at(matrix, (np.arange(len(entries))[:, None], entries), weights)
    return min(bound, float(np.linalg.svd(matrix, compute_uv=False)[0]) * _ROUNDED_UP)


def average_bound(windows: Windows, repeats_border: bool = False) -> float:
    """Upper bound of `average_norm` that needs no matrix.

        ‖A‖² ≤ maxᵢ (A·Aᵀ·x)ᵢ / xᵢ,   for every x > 0

    This is Collatz's bound of the largest eigenvalue, for a matrix without negative entries. It
    falls with each step of the power iteration x ← A·Aᵀ·x.
    """
    if not len(windows.starts):
        return 0.0
    entries, weights = _entries_and_weights(windows, repeats_border)
    image = np.ones(len(entries))
    for _ in range(_STEPS):
        vector = image
        sums = np.bincount(entries.ravel(), (weights * vector[:, None]).ravel(), windows.size)
        image = (weights * sums[entries]).sum(1)
    return math.sqrt((image / vector).max())


@functools.lru_cache
def pooled_average_norm(
    size: int | None, pool: int, stride: int, padding: str, repeats_border: bool
) -> float | None:
    """The norm of average pooling along an axis, or a bound of it for every size.

    Without padding, the row sums of A·Aᵀ are at most Σₘ max(pool − |m|·stride, 0)/pool², the
    overlaps of a window with all others; long axes attain that in the limit.

    With padding, the fractions of `average_bound` for a window depend on those windows that are
    at most 4 overlaps away, the number of its steps: on less than 9·pool positions. On an axis
    of at least 10·(pool + stride) entries they reach at most one end, and the ends are the same
    for sizes that differ by the stride. So all longer axes have the bound of one that is less
    than a stride longer.

    Args:
        size: Number of entries, or `None` for the bound.
        pool: Size of the window.
        stride: Distance between windows.
        padding: `"valid"` or `"same"`.
        repeats_border: As in `average_norm`.

    Returns:
        The norm or the bound. `None` for a padded window of more than 64 entries on an axis
        that is longer than 512 or of unknown size.
    """
    if size is not None and size <= _LARGEST_DENSE:
        return average_norm(pooling_windows(size, pool, stride, padding), repeats_border)
    if padding != "same":
        overlaps = pool + 2 * sum(range(pool - stride, 0, -stride))
        return math.sqrt(overlaps) / pool
    if pool > _LARGEST_SEARCHED:
        return None
    repeating = (2 * _STEPS + 2) * (pool + stride)
    if size is not None:
        sizes = [size if size < repeating else repeating + (size - repeating) % stride]
    else:
        sizes = range(1, repeating + stride)
    return max(
        average_bound(pooling_windows(size, pool, stride, padding), repeats_border)
        for size in sizes
    )


def _padded(size: int, pool: int, stride: int) -> int:
    """How many positions padding "same" adds, in front and behind together."""
    return max((-(-size // stride) - 1) * stride + pool - size, 0)


def _entries_and_weights(windows: Windows, repeats_border: bool) -> tuple[np.ndarray, np.ndarray]:
    """The entries of each window in a row, and what each counts."""
    positions = windows.starts[:, None] + np.arange((windows.stops - windows.starts).max())
    counted = positions < windows.stops[:, None]
    if not repeats_border:
        counted &= (positions >= 0) & (positions < windows.size)
    weights = counted / counted.sum(1, keepdims=True)
    return np.clip(positions, 0, windows.size - 1), weights
