"""Kernels of several wrappers, computed before the layers that compute with them run."""

import contextlib
import contextvars
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tfspecnorm._backend.tracing import recorded, same_values
from tfspecnorm.layers._full_precision import read_master
from tfspecnorm.norms import measure_together

# Note [Shared kernels]
# What is computed waits, for the time of a `with` block, in a variable of the context: of the
# thread, so that replicas do not see each other's. A wrapper that is called in it takes its own
# from there, if it is in the mode that it was made for. Only then its vectors move: what is not
# called is not moved. Called twice it takes the same twice. A block inside a block computes what
# does not wait already.
#
# A function that is traced in the block must not keep what was computed outside of it: when it is
# called again the kernels are others, and derivatives are in other values. Nor may what was made
# without derivatives serve where they are wanted, or a kernel stand for another one that the call
# is given in its place (which on TensorFlow cannot be told). There a wrapper computes for itself.
#
# A generator shares the context of its callers. What waits belongs to a block: it is gone with it,
# in whatever order and context blocks end, and where a generator entered it, it serves only what
# that generator calls, not what runs while the generator is suspended.


class Shared(NamedTuple):
    """What waits for a wrapper.

    Args:
        inputs: The values of the variables that it was computed from, but for vectors.
        recorded: What its tensors are part of, see `recorded`.
        kernels: Pairs of a kernel and W̄.
        updates: Pairs of a variable and its next value.
    """

    inputs: list[Any]
    recorded: Any
    kernels: list[tuple[Any, Any]]
    updates: list[tuple[Any, Any]]


class _Block:
    """What waits in one `with` block, by wrapper and mode.

    Args:
        generator: The `id` of the frame of the generator that entered the block, or `None`.
    """

    def __init__(self, generator: int | None) -> None:
        self.generator = generator
        self.shared: dict[tuple[int, bool], Shared] = {}

    def serves(self) -> bool:
        """Whether the generator that entered it runs; one that is suspended is not called."""
        if self.generator is None:
            return True
        frame = inspect.currentframe()
        while frame is not None and id(frame) != self.generator:
            frame = frame.f_back
        return frame is not None


# How many blocks there are in all threads: most calls need no look at the context.
open_blocks = 0
_BLOCKS: contextvars.ContextVar[tuple[_Block, ...]] = contextvars.ContextVar("blocks", default=())
# Where the updates of a wrapper wait that is not called yet, or `None`.
_UPDATES: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("updates", default=None)


@contextlib.contextmanager
def share_kernels(
    wrappers: Sequence[Any], training: bool, together: bool, generator: int | None = None
) -> Iterator[None]:
    """A context in which the calls of wrappers share their kernels, see Note [Shared kernels].

    Args:
        wrappers: Built wrappers.
        training: Whether they are about to be called in training.
        together: Whether the norms of all kernels are computed at once.
        generator: See `_Block`.
    """
    global open_blocks
    open_blocks += 1
    block = _Block(generator)
    try:
        wrappers = [wrapper for wrapper in wrappers if not wrapper.is_folded]
        waiting = [wrapper for wrapper in wrappers if find(wrapper, training) is None]
        block.shared = read_master(lambda: _compute(waiting, training, together))
        _BLOCKS.set((*_BLOCKS.get(), block))
        yield
    finally:
        open_blocks -= 1
        # Not by a token: blocks of generators do not end in the order in which they began.
        _BLOCKS.set(tuple(one for one in _BLOCKS.get() if one is not block))
        block.shared = {}


def find(wrapper: Any, training: bool) -> Shared | None:
    """What waits for a wrapper, if it was made in this mode, here and from its values."""
    for block in reversed(_BLOCKS.get()):
        found = block.shared.get((id(wrapper), training))
        if found is not None and block.serves():
            here = same_values(found.inputs, wrapper._inputs(), found.recorded)
            return found if here else None
    return None


def postpone(variable: Any, value: Any) -> bool:
    """Keep an update until the wrapper is called, if kernels are computed for a block."""
    waiting = _UPDATES.get()
    if waiting is None:
        return False
    waiting.append((variable, value))
    return True


def _compute(
    wrappers: Sequence[Any], training: bool, together: bool
) -> dict[tuple[int, bool], Shared]:
    tasks = [wrapper._tasks(training) for wrapper in wrappers]
    every = [task for own in tasks for task in own]
    measured = iter(measure_together(every) if together else [task.alone() for task in every])
    shared = {}
    for wrapper, own in zip(wrappers, tasks, strict=True):
        updates: list[Any] = []
        token = _UPDATES.set(updates)
        try:
            kernels = wrapper._compute(training, own, [next(measured) for _ in own])
        finally:
            _UPDATES.reset(token)
        shared[id(wrapper), training] = Shared(wrapper._inputs(), recorded(), kernels, updates)
    return shared
