"""At which frequencies a convolution is measured, and the constant tables that this takes."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from tfspecnorm.norms.linear_map import Window

# Points for each degree of the polynomial along an axis without a size: σ is too large by at
# most 1/cos(π/32) = 0.5 % per axis, and a 3×3 kernel needs 544 frequencies. Half as many points
# along an axis mean 2 %, twice as many 0.1 % for four times the work.
_POINTS_PER_DEGREE = 16
# To square and sum an entry takes as long as so many multiplications inside a matrix product.
_SQUARE = 32

# Note [Circle]
# Embed the input in a circle of M pixels, zeros behind it. With M ≥ N + max(left, right padding)
# no tap that leaves the input at one end comes back to it at the other: the layer is a part of
# the map on the circle, and no larger. That map is diagonal in the frequencies 2πi/M.
# Stride s: with M a multiple of s, tap t = s·q + r acts as tap q on phase r of the input, and
# the frequencies are 2πi/(M/s). Dilation d: a circle of d·M′ is d circles of M′, each with the
# kernel of dilation 1.
# What goes once around may as well come back multiplied by any number of modulus 1, by −1 for
# instance, on each axis for itself. The frequencies are then 2π(i + ½)/M. The smallest of these
# bounds halves the excess: 3×3 on 7 pixels 3.5 % for 7.4 %, at four times the frequencies.
#
# Note [Any size]
# Along an axis f(ω) = ‖A(ω)x‖² is a non-negative trigonometric polynomial of degree D. If its
# maximum is 1, in ω*, then f ≥ (1 + cos D(ω−ω*))/2 nearby: this is M. Riesz' lemma for f − 1/2.
# The nearest of n equispaced points is at most π/n away, so that
#     sup √f ≤ max √f over n points / cos(π·D / 2n),   n > D.
# Every circle's grid is below the supremum, and so is the layer at every size.


class Axis(NamedTuple):
    """One spatial axis of a convolution.

    Args:
        steps: Tuple with the step q of each tap.
        phases: Tuple with the phase r of each tap.
        grid: Number of equispaced frequencies, 2πi/grid.
        circles: 2 if even and odd i belong to circles of their own, each one a bound; else 1.
        excess: Factor that makes the largest value on a circle an upper bound.
    """

    steps: tuple[int, ...]
    phases: tuple[int, ...]
    grid: int
    circles: int
    excess: float


class Plan(NamedTuple):
    """Constant tables for the kernels of one shape and window.

    Args:
        waves: Array `(frequencies, 2 · phases, taps)`: cosines, then sines, of the taps. The
            frequencies of a circle are neighbours, equally many for each.
        circles: Number of circles.
        samples: The same at the frequencies where ‖A(ω)‖² is sampled, or `None`.
        interpolation: Array `(frequencies, samples)` that extends it to all frequencies.
        phases: Number of phases, 1 for stride 1.
        excess: Factor that makes the largest value an upper bound.
    """

    waves: np.ndarray
    circles: int
    samples: np.ndarray | None
    interpolation: np.ndarray | None
    phases: int
    excess: float


@functools.lru_cache(maxsize=256)
def plan(taps: tuple[int, ...], outputs: int, window: Window | None, dtype: str) -> Plan:
    """The tables for a kernel with these taps and outputs per channel.

    Only half of the frequencies are there: a real kernel has the same norm at ω and −ω.
    """
    axes = _axes(taps, window)
    grids = [axis.grid for axis in axes]
    circles = [axis.circles for axis in axes]
    frequencies = _by_circle(_half(grids)[0], grids, circles)
    waves = _waves(axes, grids, frequencies)
    phases = waves.shape[1] // 2
    # As a polynomial ‖A(ω)‖² is known from few samples; a singular value is no polynomial.
    degrees = [axis.steps[-1] for axis in axes]
    few = [2 * degree + 1 for degree in degrees]
    samples = interpolation = None
    if 1 in (phases, outputs):
        samples = _waves(axes, few, _half(few)[0])
        each = 2 * phases * outputs * (math.prod(taps) + _SQUARE)
        if len(waves) * each > len(samples) * (each + len(waves)):
            interpolation = _interpolation(degrees, grids, few)[frequencies].astype(dtype)
        else:
            samples = None
    return Plan(
        waves.astype(dtype),
        math.prod(circles),
        None if samples is None else samples.astype(dtype),
        interpolation,
        phases,
        math.prod(axis.excess for axis in axes),
    )


def _axes(taps: tuple[int, ...], window: Window | None) -> list[Axis]:
    if window is None:
        return [axis(count) for count in taps]
    sizes = zip(taps, window.strides, window.dilation_rate, window.input_size, strict=True)
    return [axis(*given, window.padding) for given in sizes]


def axis(
    taps: int, stride: int = 1, dilation: int = 1, size: int | None = None, padding: str = "same"
) -> Axis:
    """Steps, phases and grid of an axis, see Note [Circle] and Note [Any size]."""
    circular = padding == "circular" and size is not None
    if circular and size % stride:
        stride = 1  # Some of the outputs of stride 1, and no larger.
    if stride == 1:
        steps, phases, spacing = range(taps), [0] * taps, dilation
    else:
        steps, phases = zip(*(divmod(dilation * tap, stride) for tap in range(taps)), strict=True)
        spacing = stride
    degree = steps[-1]
    free = _POINTS_PER_DEGREE * degree
    circle = None
    if circular:
        circle = size // (math.gcd(size, dilation) if stride == 1 else stride)
    elif size is not None:
        extent = _extent(dilation * (taps - 1) + 1, stride, size, padding)
        # On a smaller circle taps coincide, and could cancel to a norm of 0.
        circle = max(-(-extent // spacing), degree + 1)
    grid, circles, excess = circle, 1, 1.0
    if degree == 0:
        grid = 1
    elif circle is None or (circle > free and not circular):
        grid, excess = free, 1 / math.cos(math.pi * degree / (2 * free))
    elif 2 * circle <= free and not circular:
        grid, circles = 2 * circle, 2
    return Axis(tuple(steps), tuple(phases), grid, circles, excess)


def _extent(reach: int, stride: int, size: int, padding: str) -> int:
    """Pixels that the input and the larger one of its margins take up."""
    if padding == "valid":
        # Pixels behind the last window are never read.
        return (size - reach) // stride * stride + reach
    if padding == "causal":
        return size + reach - 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return size + total - total // 2


def _half(grids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of frequencies of which no two are negatives, and of their negatives."""
    points = np.indices(grids).reshape(len(grids), -1)
    negatives = np.ravel_multi_index(tuple(-points % np.array(grids)[:, None]), grids)
    chosen = np.flatnonzero(np.arange(points.shape[1]) <= negatives)
    return chosen, negatives[chosen]


def _by_circle(frequencies: np.ndarray, grids: list[int], circles: list[int]) -> np.ndarray:
    """The flat indices sorted by circle; a shorter circle repeats its last one."""
    points = np.stack(np.unravel_index(frequencies, grids))
    of_point = np.ravel_multi_index(tuple(points % np.array(circles)[:, None]), circles)
    parts = [frequencies[of_point == circle] for circle in range(math.prod(circles))]
    length = max(map(len, parts))
    return np.concatenate([np.pad(part, (0, length - len(part)), "edge") for part in parts])


def _waves(axes: list[Axis], grids: list[int], frequencies: np.ndarray) -> np.ndarray:
    """Cosines and sines at these flat indices, each tap in the rows of its own phase only."""
    chosen = np.unravel_index(frequencies, grids)
    combinations = itertools.product(*(range(len(axis.steps)) for axis in axes))
    taps = np.array(list(combinations)).T
    angles = sum(
        2 * np.pi / grid * (np.outer(index, np.array(axis.steps)[tap]) % grid)
        for axis, grid, index, tap in zip(axes, grids, chosen, taps, strict=True)
    )
    phase = np.stack([np.array(axis.phases)[tap] for axis, tap in zip(axes, taps, strict=True)])
    distinct, of_tap = np.unique(phase, axis=1, return_inverse=True)
    present = np.arange(distinct.shape[1])[:, None] == of_tap.reshape(-1)
    parts = [wave[:, None, :] * present for wave in (np.cos(angles), np.sin(angles))]
    return np.concatenate(parts, axis=1)


def _interpolation(degrees: list[int], grids: list[int], few: list[int]) -> np.ndarray:
    """Trigonometric interpolation to a whole grid from the half of another."""
    matrix = np.ones((1, 1))
    for degree, grid, count in zip(degrees, grids, few, strict=True):
        distance = 2 * np.pi * (np.arange(grid)[:, None] / grid - np.arange(count) / count)
        cosines = np.cos(distance[..., None] * np.arange(1, degree + 1))
        matrix = np.kron(matrix, (1 + 2 * cosines.sum(axis=-1)) / count)
    chosen, negatives = _half(few)
    return matrix[:, chosen] + np.where(chosen == negatives, 0.0, matrix[:, negatives])
