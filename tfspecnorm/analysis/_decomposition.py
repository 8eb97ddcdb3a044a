"""Largest and smallest singular value of a matrix, from one decomposition."""

from typing import NamedTuple

import numpy as np

# Beyond this smaller side the eigenvalues of the Gram matrix are cheaper.
_DIRECT = 256


class Extremes(NamedTuple):
    """The ends of the singular values.

    Args:
        largest: Largest singular value.
        smallest: Smallest of the min(rows, columns) singular values; `None` if rounding hides it.
    """

    largest: float
    smallest: float | None

    @property
    def condition_number(self) -> float | None:
        """largest / smallest, infinite for a singular matrix."""
        if self.smallest is None:
            return None
        return self.largest / self.smallest if self.smallest else float("inf")


def extremes(matrices: np.ndarray) -> Extremes:
    """The ends of the singular values of a matrix, or of all blocks of a stack together.

    Guarantee: *exact* up to rounding. The Gram matrix of a large matrix squares the condition
    number: a smallest value below some 1e-6 of the largest is not resolved, and is `None`.

    Args:
        matrices: Finite array of shape `(..., rows, columns)`.

    Example:

    >>> extremes(np.diag([3.0, 2.0, 0.5]))
    Extremes(largest=3.0, smallest=0.5)
    """
    scale = float(np.max(np.abs(matrices), initial=0.0))
    if scale == 0:
        return Extremes(0.0, 0.0)
    scaled = matrices / scale
    rows, columns = scaled.shape[-2:]
    if min(rows, columns) <= _DIRECT:
        values = np.linalg.svd(scaled, compute_uv=False)
        return Extremes(float(values.max()) * scale, float(values.min()) * scale)
    turned = scaled.swapaxes(-1, -2)
    squares = np.linalg.eigvalsh(scaled @ turned if rows < columns else turned @ scaled)
    largest, smallest = float(squares.max()), float(squares.min())
    rounding = 1e-12 * largest
    return Extremes(
        float(np.sqrt(largest)) * scale,
        float(np.sqrt(smallest)) * scale if smallest > rounding else None,
    )
