"""XLA compilation of a pure function, where the backend does not compile everything anyway."""

import functools
from collections.abc import Callable
from typing import Any

import keras


def compiles(jit_compile: bool | str) -> bool:
    """Whether the power iteration becomes a program of its own, by a wrapper's `jit_compile`.

    What `"auto"` means:

    - TensorFlow on a CPU: `False`. In a graph one or two iterations gain nothing, and the first
      step takes several times as long: `benchmarks/power_iteration_xla.py`.
    - TensorFlow on a GPU: `False`, because nothing was measured there.
    - JAX: `False`. The training step is compiled as a whole.
    - PyTorch: `False`. Nothing is compiled, with `True` neither.
    """
    return jit_compile is True


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled by XLA on TensorFlow; on JAX by `jax.jit`; as it is on PyTorch.

    Tensors are the function's leading arguments, the last argument is a static integer.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Static arguments and shapes each make a trace of their own, by design.
        return tf.function(function, jit_compile=True, reduce_retracing=False)
    if backend == "jax":
        import jax

        return jax.jit(function, static_argnums=3)
    return function
