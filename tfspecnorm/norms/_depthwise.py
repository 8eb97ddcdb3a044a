"""Norms of several depthwise kernels at once, as in `tfspecnorm.norms._matrices`."""

from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.operations import constant, gather, ops
from tfspecnorm.norms._frequencies import multiples, plan
from tfspecnorm.norms._geometry import Axis, axes_of
from tfspecnorm.norms._segments import Segments, numbers_of, segments_of
from tfspecnorm.norms._symbol import squared_norms_of_vectors
from tfspecnorm.norms.base import TINY, Measurement, Task, WholeKernel


def group_of(task: Task) -> tuple[str, tuple[Axis, ...]] | None:
    """Whose tasks can be measured together; `None` for alone."""
    linear_map = task.linear_map
    if linear_map.block_axes and linear_map.matrix_shape[1:] == (linear_map.taps, 1):
        return keras.backend.standardize_dtype(task.kernel.dtype), axes_of(linear_map)
    return None


def measured(group: tuple[str, tuple[Axis, ...]] | None, tasks: list[Task]) -> list[Measurement]:
    """What `Fourier` says of a group's tasks: kernels with one output for each input."""
    if group is None or len(tasks) == 1:
        return [task.alone() for task in tasks]
    dtype, axes = group
    tables = plan(axes, 1, 1, dtype)
    maps = [task.linear_map.as_convolution for task in tasks]
    kernels = [ops.convert_to_tensor(task.kernel) for task in tasks]
    stacks = [view.stacked(part) for view, part in zip(maps, kernels, strict=True)]
    channels = segments_of(tuple(stack.shape[1] for stack in stacks))
    kernel = ops.concatenate([ops.squeeze(stack, -1) for stack in stacks], axis=1)
    scaled = ops.stop_gradient(kernel)
    largest = channels.largest(ops.max(ops.abs(scaled), axis=0))
    scaled = scaled / channels.spread(largest + TINY)

    squares = squared_norms_of_vectors(scaled, tables)
    circles = ops.reshape(squares, (tables.circles, -1, squares.shape[-1]))
    channel = _largest_of_each(ops.min(ops.max(circles, axis=1), axis=0), channels)
    circles = gather(circles, channel, axis=2)
    bounds = ops.max(circles, axis=1, keepdims=True)
    places = _first_place(ops.equal(circles, bounds), axis=1)
    circle = _first_place(ops.equal(bounds, ops.min(bounds, axis=0)), axis=0)
    numbers = constant(multiples(1, tables.circles), circle, (tables.circles, 1))
    chosen = ops.equal(numbers, circle[0])
    frequency = ops.sum(ops.where(chosen, places, 0), axis=0) + circle[0] * circles.shape[1]

    # Taps first, kernels last: nothing has to be transposed, which takes longer than the rest.
    waves = ops.transpose(constant(tables.waves, squares), (2, 1, 0))
    wave = gather(waves, frequency, axis=2)
    image = ops.sum(wave * gather(scaled, channel, axis=1)[:, None], axis=0)
    unit = image * ops.rsqrt(ops.sum(ops.square(image), axis=0) + TINY)
    spread = channels.spread(tables.excess * ops.sum(unit * wave, axis=1), axis=1)
    places = constant(multiples(1, len(channels.owners)), channel)
    own = ops.equal(channels.spread(channel), places)
    # An entry that is not finite shows, in whichever channel it is.
    gradient = ops.where(own, spread, 0.0 * scaled)
    sigmas = channels.sums(ops.sum(kernel * gradient, axis=0))
    return [
        Measurement(sigma, {}, (WholeKernel(view.unstacked(part)),), inverse)
        for view, (sigma, inverse), part in zip(
            maps, numbers_of(sigmas), channels.split(gradient, axis=1), strict=True
        )
    ]


def _largest_of_each(values: Any, segments: Segments) -> Any:
    """Where the largest entry of each vector is, among the entries of all."""
    largest = segments.spread(segments.largest(values))
    last = np.int32(len(segments.owners) - 1)
    places = constant(multiples(1, len(segments.owners)), values)
    found = -segments.largest(ops.where(ops.equal(values, largest), -places, -last))
    return ops.minimum(found, last)


def _first_place(chosen: Any, axis: int) -> Any:
    """The first place along an axis that is chosen, the last one if none is."""
    count = chosen.shape[axis]
    shape = [1] * len(chosen.shape)
    shape[axis] = count
    places = constant(multiples(1, count), chosen, tuple(shape))
    return ops.min(ops.where(chosen, places, np.int32(count - 1)), axis=axis)
