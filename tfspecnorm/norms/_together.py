"""Norms of several kernels at once: far fewer operations than one kernel after the other.

A step of a deep network measures many small kernels, and each operation has a price of its own.
Here products with matrices are all that is done for each kernel; the rest is done for all.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfspecnorm._backend.operations import constant, ops
from tfspecnorm.norms._frequencies import multiples, plan
from tfspecnorm.norms._geometry import as_convolution, axes_of
from tfspecnorm.norms._segments import Segments, picked, segments_of
from tfspecnorm.norms._symbol import squared_norms_of_vectors
from tfspecnorm.norms.bidirectional import Bidirectional
from tfspecnorm.norms.fourier import Fourier
from tfspecnorm.norms.linear_map import LinearMap
from tfspecnorm.norms.matrix import Matrix
from tfspecnorm.norms.measurement import TINY, Measurement, OuterProduct, WholeKernel, inverse_of


class Task(NamedTuple):
    """A kernel to be measured: the norm, and what it is called with.

    Args:
        norm: Norm object.
        kernel: Tensor of at least 32 bits.
        state: Dict from name to tensor, the state to measure with.
        linear_map: `LinearMap` of the kernel.
        power_iterations: Number of iterations from the stored vectors.
        jit_compile: Whether XLA compiles the iteration.
        size: What the kernel was divided by: its norm is σ times that.
    """

    norm: Any
    kernel: Any
    state: dict[str, Any]
    linear_map: LinearMap
    power_iterations: int = 0
    jit_compile: bool = False
    size: Any = 1.0

    def alone(self) -> Measurement:
        """What the norm says."""
        return self.norm(*self[1:-1])


def measure_together(tasks: Sequence[Task]) -> list[Measurement]:
    """What each task's norm says, with as few operations as there can be.

    Matrix norms, bidirectional ones, and Fourier norms of depthwise kernels are computed together;
    other norms, and those of block-diagonal maps, one after the other.

    Args:
        tasks: Sequence of `Task`s.

    Returns:
        List of `Measurement`s, equal to those of the norms up to rounding.

    Example:

    >>> from tfspecnorm.norms import dense
    >>> kernels = [np.diag([2.0, 1.0]).astype("float32"), np.diag([3.0, 1.0]).astype("float32")]
    >>> states = [Matrix().warm_up(kernel, dense((2, 2))) for kernel in kernels]
    >>> tasks = [Task(Matrix(), *each, dense((2, 2))) for each in zip(kernels, states)]
    >>> [round(float(measured.sigma), 4) for measured in measure_together(tasks)]
    [2.0, 3.0]
    """
    parts = [task.norm.parts(task) if _has_parts(task) else [task] for task in tasks]
    groups: dict[Any, list[tuple[int, int]]] = {}
    for place, own in enumerate(parts):
        for number, part in enumerate(own):
            groups.setdefault(_group(part), []).append((place, number))
    found: list[dict[int, Measurement]] = [{} for _ in tasks]
    for key, places in groups.items():
        members = [parts[place][number] for place, number in places]
        several = key is not None and len(members) > 1
        measured = key[0](members) if several else [member.alone() for member in members]
        for (place, number), measurement in zip(places, measured, strict=True):
            found[place][number] = measurement
    return [
        task.norm.merged([own[number] for number in sorted(own)]) if _has_parts(task) else own[0]
        for task, own in zip(tasks, found, strict=True)
    ]


def _has_parts(task: Task) -> bool:
    return type(task.norm) is Bidirectional


def _group(task: Task) -> tuple[Callable[[list[Task]], list[Measurement]], ...] | None:
    """Whose tasks are measured together, and by which function; `None` for alone."""
    dtype = keras.backend.standardize_dtype(task.kernel.dtype)
    linear_map = task.linear_map
    if (
        type(task.norm) is Matrix
        and not (linear_map.block_axes or task.jit_compile)
        and (len(task.state) == 2 or not task.power_iterations)
    ):
        return _matrices, dtype, task.power_iterations
    if type(task.norm) is Fourier and linear_map.block_axes:
        *_, rows, outputs = linear_map.matrix_shape
        if rows == linear_map.taps and outputs == 1:
            return _depthwise, dtype, axes_of(linear_map)
    return None


def _matrices(tasks: list[Task]) -> list[Measurement]:
    """What `Matrix` says; none is block diagonal."""
    kernels = [ops.convert_to_tensor(task.kernel) for task in tasks]
    views = [task.linear_map.matrix(part) for task, part in zip(tasks, kernels, strict=True)]
    rows = segments_of(tuple(view.shape[0] for view in views))
    columns = segments_of(tuple(view.shape[1] for view in views))
    vector_u, vector_v = (
        ops.cast(
            ops.concatenate([ops.convert_to_tensor(task.state[name]) for task in tasks]),
            views[0].dtype,
        )
        for name in ("vector_u", "vector_v")
    )

    def images(vector: Any) -> Any:
        parts = columns.split(ops.reshape(vector, (-1, 1)))
        products = [view @ part for view, part in zip(views, parts, strict=True)]
        return ops.reshape(ops.concatenate(products), (-1,))

    for remaining in reversed(range(tasks[0].power_iterations)):
        parts = rows.split(ops.reshape(vector_v, (1, -1)), axis=1)
        products = [part @ view for view, part in zip(views, parts, strict=True)]
        products = ops.reshape(ops.concatenate(products, axis=1), (-1,))
        vector_u = ops.stop_gradient(columns.normalized(products, vector_u))
        if remaining:
            vector_v = ops.stop_gradient(rows.normalized(images(vector_u), vector_v))
    image = images(vector_u)
    vector_v = rows.normalized(ops.stop_gradient(image), vector_v)
    vectors = zip(columns.split(vector_u), rows.split(vector_v), strict=True)
    return [
        Measurement(
            sigma,
            {"vector_u": own_u, "vector_v": own_v},
            (OuterProduct(task.linear_map, own_v, own_u),),
            inverse,
        )
        for task, (sigma, inverse), (own_u, own_v) in zip(
            tasks, _numbers(rows.sums(vector_v * image)), vectors, strict=True
        )
    ]


def _depthwise(tasks: list[Task]) -> list[Measurement]:
    """What `Fourier` says of depthwise kernels with one output for each input."""
    dtype = keras.backend.standardize_dtype(tasks[0].kernel.dtype)
    tables = plan(axes_of(tasks[0].linear_map), 1, 1, dtype)
    maps = [as_convolution(task.linear_map) for task in tasks]
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
    circles = picked(circles, channel, axis=2)
    bounds = ops.max(circles, axis=1, keepdims=True)
    places = _first_place(ops.equal(circles, bounds), axis=1)
    circle = _first_place(ops.equal(bounds, ops.min(bounds, axis=0)), axis=0)
    numbers = constant(multiples(1, tables.circles), circle, (tables.circles, 1))
    chosen = ops.equal(numbers, circle[0])
    frequency = ops.sum(ops.where(chosen, places, 0), axis=0) + circle[0] * circles.shape[1]

    # Taps first, kernels last: nothing has to be transposed, which takes longer than the rest.
    waves = ops.transpose(constant(tables.waves, squares), (2, 1, 0))
    wave = picked(waves, frequency, axis=2)
    image = ops.sum(wave * picked(scaled, channel, axis=1)[:, None], axis=0)
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
            maps, _numbers(sigmas), channels.split(gradient, axis=1), strict=True
        )
    ]


def _numbers(sigmas: Any) -> Iterator[tuple[Any, Any]]:
    """Each norm and its inverse."""
    parts = (ops.unstack(values, sigmas.shape[0]) for values in (sigmas, inverse_of(sigmas)))
    return zip(*parts, strict=True)


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
