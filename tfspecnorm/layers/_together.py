"""Kernels of several wrappers measured at once, before the layers that compute with them run."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tfspecnorm import norms
from tfspecnorm.layers._precision import kernel_value, read_master

# Note [Measured together]
# The measurements wait, for the time of one call of a model, in a variable of the context: of the
# thread, so that replicas do not see each other's. A wrapper that is called in it takes its own
# from there, if it is in the mode that they were made for. It alone moves its vectors: what is not
# called is not moved. Called twice it takes the same measurement twice.


class _Ready(NamedTuple):
    power_iterations: int
    measurement: norms.Measurement


_Waiting = dict[tuple[int, str], _Ready]
_READY: contextvars.ContextVar[_Waiting | None] = contextvars.ContextVar("ready", default=None)


@contextlib.contextmanager
def measured_together(wrappers: Sequence[Any], training: bool) -> Iterator[None]:
    """A context in which the kernels of these wrappers are measured, see Note [Measured together].

    Args:
        wrappers: Built wrappers that divide by norms.
        training: Whether they are about to be called in training.
    """
    measured = read_master(lambda: _measured(wrappers, training))
    token = _READY.set({**(_READY.get() or {}), **measured})
    try:
        yield
    finally:
        _READY.reset(token)


def ready(wrapper: Any, name: str, power_iterations: int) -> norms.Measurement | None:
    """The measurement that waits for a kernel of a wrapper, made with as many iterations."""
    found = (_READY.get() or {}).get((id(wrapper), name))
    if found is None or found.power_iterations != power_iterations:
        return None
    return found.measurement


def _measured(wrappers: Sequence[Any], training: bool) -> _Waiting:
    places, tasks = [], []
    for wrapper in wrappers:
        for kernel in wrapper.kernels:
            places.append((id(wrapper), kernel.name))
            iterations = wrapper.iterations(kernel, training)
            tasks.append(wrapper.task(kernel, kernel_value(kernel), iterations))
    measured = norms.measure_together(tasks)
    return {
        place: _Ready(task.power_iterations, measurement)
        for place, task, measurement in zip(places, tasks, measured, strict=True)
    }
