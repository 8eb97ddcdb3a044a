"""Kernels of several wrappers measured before the layers that compute with them run."""

import contextlib
import contextvars
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras

from tfspecnorm import norms
from tfspecnorm._backend.tracing import recorded
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._precision import kernel_value, read_master

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
#
# A generator shares the context of its callers. What waits belongs to a block: it is gone with it,
# in whatever order and context blocks end, and where a generator entered it, it serves only what
# that generator calls, not what runs while the generator is suspended.


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


class _Block:
    """What waits in one `with` block, by wrapper and kernel.

    Args:
        generator: The `id` of the frame of the generator that entered the block, or `None`.
    """

    def __init__(self, generator: int | None) -> None:
        self.generator = generator
        self.measured: dict[tuple[int, str], Ready] = {}
        # W̄ of wrappers that measure nothing apart, and whether it was made in training.
        self.whole: dict[tuple[int, str, bool], Ready] = {}

    def serves(self) -> bool:
        """Whether the generator that entered it runs; one that is suspended is not called."""
        if self.generator is None:
            return True
        frame = inspect.currentframe()
        while frame is not None and id(frame) != self.generator:
            frame = frame.f_back
        return frame is not None


_BLOCKS: contextvars.ContextVar[tuple[_Block, ...]] = contextvars.ContextVar("blocks", default=())


@contextlib.contextmanager
def measured_ahead(
    wrappers: Sequence[Any],
    training: bool,
    together: bool,
    divided: bool,
    others: Sequence[Any] = (),
    generator: int | None = None,
) -> Iterator[None]:
    """A context in which the kernels of these wrappers are measured, see Note [Measured ahead].

    Args:
        wrappers: Built wrappers that divide by norms, or by lengths.
        training: Whether they are about to be called in training.
        together: Whether the norms of all kernels are computed at once.
        divided: Whether W̄ is computed, too, and serves for all calls.
        others: Built wrappers with a `reparameterize` of their own, which is called once.
        generator: See `_Block`.
    """
    block = _Block(generator)
    block.measured = read_master(lambda: _measured(wrappers, training, together, divided))
    block.whole = read_master(lambda: _reparameterized(others, training))
    _BLOCKS.set((*_BLOCKS.get(), block))
    try:
        yield
    finally:
        # Not by a token: blocks of generators do not end in the order in which they began.
        _BLOCKS.set(tuple(one for one in _BLOCKS.get() if one is not block))
        block.measured, block.whole = {}, {}


def ready(wrapper: Any, kernel: Kernel, power_iterations: int) -> Ready | None:
    """What waits for a kernel of a wrapper, made from its values, with as many iterations."""
    for block in reversed(_BLOCKS.get()):
        found = block.measured.get((id(wrapper), kernel.name))
        if found is not None and found.power_iterations == power_iterations and block.serves():
            return found if _is_current(found, wrapper, kernel) else None
    return None


def ready_whole(wrapper: Any, kernel: Kernel, moves: bool) -> Ready | None:
    """What waits for a kernel of a wrapper that measures nothing apart."""
    for block in reversed(_BLOCKS.get()):
        found = block.whole.get((id(wrapper), kernel.name, moves))
        if found is not None and block.serves():
            return found if _is_current(found, wrapper, kernel) else None
    return None


def _is_current(found: Ready, wrapper: Any, kernel: Kernel) -> bool:
    now = recorded()
    if keras.backend.backend() == "tensorflow":
        # Each reading of a variable is a new tensor.
        return found.recorded is now
    values = wrapper.values_of(kernel)
    same = all(one is other for one, other in zip(found.values, values, strict=True))
    return same and not (now and not found.recorded)


def _measured(
    wrappers: Sequence[Any], training: bool, together: bool, divided: bool
) -> dict[tuple[int, str], Ready]:
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


def _reparameterized(wrappers: Sequence[Any], training: bool) -> dict[tuple[int, str, bool], Ready]:
    found = {}
    for wrapper in wrappers:
        for kernel in wrapper.kernels:
            moves = wrapper.moves(kernel, training)
            if ready_whole(wrapper, kernel, moves) is None:
                values, now = wrapper.values_of(kernel), recorded()
                effective = wrapper.reparameterize(kernel, kernel_value(kernel), moves)
                made = Ready(values, now, int(moves), None, None, effective)
                found[id(wrapper), kernel.name, moves] = made
    return found
