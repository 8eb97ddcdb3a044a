"""At which frequencies a convolution is measured, and the constant tables that this takes."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from tfspecnorm.norms._geometry import Axis, axes_of
from tfspecnorm.norms.linear_map import LinearMap

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


class Grid(NamedTuple):
    """The frequencies along one spatial axis of a convolution.

    Args:
        steps: Tuple with the step q of each tap.
        phases: Tuple with the phase r of each tap.
        points: Number of equispaced frequencies, 2πi/points.
        circles: 2 if even and odd i belong to circles of their own, each one a bound; else 1.
        excess: Factor that makes the largest value on a circle an upper bound.
    """

    steps: tuple[int, ...]
    phases: tuple[int, ...]
    points: int
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
        of_vectors: Whether each matrix has one row or one column.
    """

    waves: np.ndarray
    circles: int
    samples: np.ndarray | None
    interpolation: np.ndarray | None
    phases: int
    excess: float
    of_vectors: bool


def plan_of(linear_map: LinearMap, dtype: str) -> Plan:
    """The tables for the kernel of a convolution, kept with its description."""
    # `torch.compile` cannot make tables in a traced call.
    if dtype not in linear_map.kept:
        view = linear_map.as_convolution
        *_, rows, outputs = view.matrix_shape
        linear_map.kept[dtype] = plan(axes_of(linear_map), rows // view.taps, outputs, dtype)
    return linear_map.kept[dtype]


@functools.lru_cache(maxsize=256)
def multiples(step: int, count: int) -> np.ndarray:
    """0, step, 2·step and so on: a table of as many places."""
    return step * np.arange(count, dtype="int32")


@functools.lru_cache(maxsize=256)
def plan(axes: tuple[Axis, ...], inputs: int, outputs: int, dtype: str) -> Plan:
    """The tables for a kernel with these axes, and inputs and outputs in each block.

    Only half of the frequencies are there: a real kernel has the same norm at ω and −ω.
    """
    grids = [grid_of(axis) for axis in axes]
    taps = math.prod(axis.taps for axis in axes)
    points = [grid.points for grid in grids]
    circles = [grid.circles for grid in grids]
    frequencies = _by_circle(_half(points)[0], points, circles)
    waves = _waves(grids, points, frequencies)
    phases = waves.shape[1] // 2
    # As a polynomial ‖A(ω)‖² is known from few samples; a singular value is no polynomial.
    degrees = [grid.steps[-1] for grid in grids]
    few = [2 * degree + 1 for degree in degrees]
    samples = interpolation = None
    of_vectors = 1 in (phases * inputs, outputs)
    if of_vectors:
        samples = _waves(grids, few, _half(few)[0])
        each = 2 * phases * outputs * (taps + _SQUARE)
        if len(waves) * each > len(samples) * (each + len(waves)):
            interpolation = _interpolation(degrees, points, few)[frequencies].astype(dtype)
        else:
            samples = None
    return Plan(
        waves.astype(dtype),
        math.prod(circles),
        None if samples is None else samples.astype(dtype),
        interpolation,
        phases,
        math.prod(grid.excess for grid in grids),
        of_vectors,
    )


def split(axis: Axis) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Step and phase of each tap, and the pixels between two steps, see Note [Circle]."""
    stride = axis.stride
    if axis.padding == "circular" and axis.size is not None and axis.size % stride:
        stride = 1  # Some of the outputs of stride 1, and no larger.
    if stride == 1:
        return tuple(range(axis.taps)), (0,) * axis.taps, axis.dilation
    positions = [axis.dilation * tap for tap in range(axis.taps)]
    return (
        tuple(position // stride for position in positions),
        tuple(position % stride for position in positions),
        stride,
    )


def grid_of(axis: Axis) -> Grid:
    """The frequencies along an axis, see Note [Circle] and Note [Any size]."""
    steps, phases, spacing = split(axis)
    circular = axis.padding == "circular" and axis.size is not None
    degree = steps[-1]
    free = _POINTS_PER_DEGREE * degree
    circle = None
    if circular:
        strided = axis.stride > 1 and axis.size % axis.stride == 0
        circle = axis.size // (axis.stride if strided else math.gcd(axis.size, axis.dilation))
    elif axis.size is not None:
        # On a smaller circle taps coincide, and could cancel to a norm of 0.
        circle = max(-(-axis.extent // spacing), degree + 1)
    points, circles, excess = circle, 1, 1.0
    if degree == 0:
        points = 1
    elif circle is None or (circle > free and not circular):
        points, excess = free, 1 / math.cos(math.pi * degree / (2 * free))
    elif 2 * circle <= free and not circular:
        points, circles = 2 * circle, 2
    return Grid(steps, phases, points, circles, excess)


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


def _waves(grids: list[Grid], points: list[int], frequencies: np.ndarray) -> np.ndarray:
    """Cosines and sines at these flat indices, each tap in the rows of its own phase only."""
    chosen = np.unravel_index(frequencies, points)
    combinations = itertools.product(*(range(len(grid.steps)) for grid in grids))
    taps = np.array(list(combinations)).T
    angles = sum(
        2 * np.pi / count * (np.outer(index, np.array(grid.steps)[tap]) % count)
        for grid, count, index, tap in zip(grids, points, chosen, taps, strict=True)
    )
    phase = np.stack([np.array(grid.phases)[tap] for grid, tap in zip(grids, taps, strict=True)])
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
