"""XLA compilation of a pure function, where the backend does not compile everything anyway."""

import functools
from collections.abc import Callable
from typing import Any

import keras


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
