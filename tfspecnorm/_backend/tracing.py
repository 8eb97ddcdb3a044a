"""What is made while a function is traced, and where."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

# Whether bodies of loops are traced for themselves, so that nothing that is made there can leave.
TRACES_LOOPS = keras.backend.backend() == "jax"


def outside_of_tracing() -> contextlib.AbstractContextManager[Any]:
    """A scope in which a kernel that is made has a value at once.

    A Sequential without an input shape builds its layers while TensorFlow traces the training
    step. Variables that start from other variables of the same trace cannot be lifted out of
    what XLA compiles.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.init_scope()
    return contextlib.nullcontext()


def traced(
    function: Callable[..., Any], on: Sequence[str] = ("tensorflow", "jax")
) -> Callable[..., Any]:
    """A function of tensors that is traced on the named backends, `"tensorflow"` or `"jax"`.

    It must have no Python control flow over tensors.
    """
    backend = keras.backend.backend()
    if backend not in on:
        return function
    if backend == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)


def recorded() -> Any:
    """What tensors that are made now are part of: a graph of TensorFlow or `None`, or on PyTorch
    whether derivatives pass through them; `None` on JAX, whose values say it themselves.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    if backend == "torch":
        import torch

        return torch.is_grad_enabled()
    return None


def same_values(before: list[Any], now: list[Any], made_in: Any) -> bool:
    """Whether what was computed from values serves for values now.

    Args:
        before: The values that it was computed from.
        now: Those of the same variables now.
        made_in: What was `recorded` when it was computed.
    """
    here = recorded()
    if keras.backend.backend() == "tensorflow":
        # Each reading of a variable is a new tensor.
        return made_in is here
    same = all(one is other for one, other in zip(before, now, strict=True))
    # What was made without derivatives does not serve where they are wanted.
    return same and not (here and not made_in)


def outlives_loop(old: Any, new: Any) -> bool:
    """Whether a new value of a variable may stay where the old one came from.

    On JAX the body of a loop is traced for itself: what is made there cannot leave it.
    """
    if keras.backend.backend() != "jax":
        return True
    import jax

    if not isinstance(new, jax.core.Tracer):
        return True
    function = _function_of(new)
    if isinstance(old, jax.core.Tracer):
        return function is _function_of(old)
    # Outside of a compiled step a variable has a value, which says nothing of where it is assigned.
    return not _traced_for(function).startswith(_BODIES)


# What JAX traces for itself although it compiles nothing around it; `jit` hands all values on.
_BODIES = ("scan", "fori_loop", "while", "cond", "switch", "checkpoint")


def _function_of(tracer: Any) -> Any:
    """The function that is being traced, below what differentiates or vectorizes it."""
    trace = getattr(tracer, "_trace", None)
    # Traces have no public name.
    while trace is not None and type(trace).__name__ != "DynamicJaxprTrace":
        trace = getattr(trace, "parent_trace", None)
    return trace


def _traced_for(function: Any) -> str:
    """What JAX traces a function for, or "" where that is not known."""
    for name in ("frame", "debug_info", "traced_for"):
        function = getattr(function, name, None)
    return function or ""
