"""Vectors of several lengths in one, end to end: an operation serves for all of them."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import constant, gather, ops
from tfspecnorm.norms._vectors import inverse_of


class Segments:
    """Where the vectors lie; `segments_of` keeps them.

    Args:
        lengths: Entries of each vector.

    Example:

    >>> segments = Segments((2, 1))
    >>> vectors = ops.convert_to_tensor(np.array([3.0, 4.0, 5.0], "float32"))
    >>> unit = segments.normalized(vectors, ops.zeros_like(vectors))
    >>> print(ops.convert_to_numpy(unit).round(2))
    [0.6 0.8 1. ]
    """

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self.starts = np.cumsum([0, *lengths[:-1]]).astype("int32")
        self.owners = np.repeat(np.arange(len(lengths)), lengths).astype("int32")
        self._count = len(lengths)

    def split(self, joined: Any, axis: int = 0) -> list[Any]:
        """The vectors, or slices of a tensor along an axis."""
        if self._count == 1:
            return [joined]
        return ops.split(joined, self.starts[1:].tolist(), axis=axis)

    def sums(self, joined: Any) -> Any:
        """The sum of each vector's entries."""
        return ops.segment_sum(joined, constant(self.owners, joined), self._count)

    def largest(self, joined: Any) -> Any:
        """The largest entry of each vector."""
        return ops.segment_max(joined, constant(self.owners, joined), self._count)

    def spread(self, values: Any, axis: int = 0) -> Any:
        """A value for each vector, at each of its entries."""
        return gather(values, constant(self.owners, values), axis)

    def normalized(self, joined: Any, fallback: Any) -> Any:
        """Unit vectors, as `tfspecnorm.norms._vectors.normalized` makes one."""
        largest = self.largest(ops.abs(joined))
        scaled = joined / self.spread(largest)
        inverse = ops.rsqrt(self.sums(ops.square(scaled)))
        inverse = self.spread(inverse)
        return ops.where(inverse > 0.0, scaled * inverse, fallback)


segments_of = functools.lru_cache(maxsize=256)(Segments)


def numbers_of(sigmas: Any) -> Iterator[tuple[Any, Any]]:
    """Each norm and its inverse."""
    parts = (ops.unstack(values, sigmas.shape[0]) for values in (sigmas, inverse_of(sigmas)))
    return zip(*parts, strict=True)
