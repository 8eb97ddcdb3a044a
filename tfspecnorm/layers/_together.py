"""Kernels of several wrappers measured before the layers that compute with them run."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tfspecnorm import norms
from tfspecnorm.layers._precision import kernel_value, read_master
from tfspecnorm.layers._tracing import graph_in_the_making, is_traced

# Note [Measured ahead]
# What is measured waits, for the time of a `with` block, in a variable of the context: of the
# thread, so that replicas do not see each other's. A wrapper that is called in it takes its own
# from there, if it is in the mode that it was made for. It alone moves its vectors: what is not
# called is not moved. Called twice it takes the same twice. A block inside a block measures what
# does not wait already.
#
# A function that is traced in the block must not keep what was measured outside of it: when it is
# called again the kernels are others. There a wrapper measures for itself.


class Ready(NamedTuple):
    """What waits for a kernel.

    Args:
        value: The kernel.
        graph: The graph that TensorFlow was tracing, `None` for none.
        power_iterations: With how many it was measured.
        measurement: Its norm, `None` where a wrapper has none.
        effective: W̄, or `None` if each call is to divide for itself.
    """

    value: Any
    graph: Any
    power_iterations: int
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


def ready(wrapper: Any, name: str, value: Any, power_iterations: int) -> Ready | None:
    """What waits for a kernel of a wrapper, made with as many iterations."""
    found = (_READY.get() or {}).get((id(wrapper), name))
    if found is None or found.power_iterations != power_iterations:
        return None
    constant = is_traced(value) and not is_traced(found.value)
    return None if constant or found.graph is not graph_in_the_making() else found


def _measured(wrappers: Sequence[Any], training: bool, together: bool, divided: bool) -> _Waiting:
    owners, values, tasks = [], [], []
    for wrapper in wrappers:
        for kernel in wrapper.kernels:
            value, iterations = kernel_value(kernel), wrapper.iterations(kernel, training)
            if ready(wrapper, kernel.name, value, iterations) is None:
                owners.append((wrapper, kernel, iterations))
                values.append(value)
                tasks.append(wrapper.task(kernel, value, iterations))
    known = [task for task in tasks if task is not None]
    found = norms.measure_together(known) if together else [task.alone() for task in known]
    waiting = iter(found)
    measured = [None if task is None else next(waiting) for task in tasks]
    graph = graph_in_the_making()
    return {
        (id(wrapper), kernel.name): Ready(
            value,
            graph,
            iterations,
            measurement,
            wrapper.divided(kernel, value, measurement) if divided else None,
        )
        for (wrapper, kernel, iterations), value, measurement in zip(
            owners, values, measured, strict=True
        )
    }
