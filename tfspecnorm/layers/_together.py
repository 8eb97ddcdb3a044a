"""Kernels of several wrappers measured before the layers that compute with them run."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras

from tfspecnorm import norms
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._precision import kernel_value, read_master
from tfspecnorm.layers._tracing import recorded

# Note [Measured ahead]
# What is measured waits, for the time of a `with` block, in a variable of the context: of the
# thread, so that replicas do not see each other's. A wrapper that is called in it takes its own
# from there, if it is in the mode that it was made for. It alone moves its vectors: what is not
# called is not moved. Called twice it takes the same twice. A block inside a block measures what
# does not wait already.
#
# A function that is traced in the block must not keep what was measured outside of it: when it is
# called again the kernels are others, and derivatives are in other values. Nor may what was made
# without derivatives serve where they are wanted, or a kernel stand for another one that the call
# is given in its place (which on TensorFlow cannot be told). There a wrapper measures for itself.


class Ready(NamedTuple):
    """What waits for a kernel.

    Args:
        values: The values of the variables that it was computed from, but for vectors.
        recorded: What its tensors are part of, see `recorded`.
        power_iterations: With how many it was measured.
        task: How it was measured, `None` where a wrapper has no norm.
        measurement: Its norm, `None` where a wrapper has none.
        effective: W̄, or `None` if each call is to divide for itself.
    """

    values: tuple[Any, ...]
    recorded: Any
    power_iterations: int
    task: norms.Task | None
    measurement: norms.Measurement | None
    effective: Any


_Waiting = dict[tuple[int, str], Ready]
_READY: contextvars.ContextVar[_Waiting | None] = contextvars.ContextVar("ready", default=None)


@contextlib.contextmanager
def measured_ahead(
    wrappers: Sequence[Any], training: bool, together: bool, divided: bool
) -> Iterator[None]:
    """A context in which the kernels of these wrappers are measured, see Note [Measured ahead].

    Args:
        wrappers: Built wrappers that divide by norms, or by lengths.
        training: Whether they are about to be called in training.
        together: Whether the norms of all kernels are computed at once.
        divided: Whether W̄ is computed, too, and serves for all calls.
    """
    measured = read_master(lambda: _measured(wrappers, training, together, divided))
    token = _READY.set({**(_READY.get() or {}), **measured})
    try:
        yield
    finally:
        _READY.reset(token)


def ready(wrapper: Any, kernel: Kernel, power_iterations: int) -> Ready | None:
    """What waits for a kernel of a wrapper, made from its values, with as many iterations."""
    found = (_READY.get() or {}).get((id(wrapper), kernel.name))
    if found is None or found.power_iterations != power_iterations:
        return None
    now = recorded()
    if keras.backend.backend() == "tensorflow":
        # Each reading of a variable is a new tensor.
        return found if found.recorded is now else None
    values = wrapper.values_of(kernel)
    same = all(one is other for one, other in zip(found.values, values, strict=True))
    return None if not same or (now and not found.recorded) else found


def _measured(wrappers: Sequence[Any], training: bool, together: bool, divided: bool) -> _Waiting:
    owners, values, tasks = [], [], []
    for wrapper in wrappers:
        for kernel in wrapper.kernels:
            iterations = wrapper.iterations(kernel, training)
            if ready(wrapper, kernel, iterations) is None:
                owners.append((wrapper, kernel, iterations))
                values.append(kernel_value(kernel))
                tasks.append(wrapper.task(kernel, values[-1], iterations))
    known = [task for task in tasks if task is not None]
    found = norms.measure_together(known) if together else [task.alone() for task in known]
    waiting = iter(found)
    measured = [None if task is None else next(waiting) for task in tasks]
    now = recorded()
    return {
        (id(wrapper), kernel.name): Ready(
            wrapper.values_of(kernel),
            now,
            iterations,
            task,
            measurement,
            wrapper.divided(kernel, value, task, measurement) if divided else None,
        )
        for (wrapper, kernel, iterations), value, task, measurement in zip(
            owners, values, tasks, measured, strict=True
        )
    }
