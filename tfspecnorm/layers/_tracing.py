"""What is made while a function is traced, and where."""

import contextlib
from typing import Any

import keras


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


def graph_in_the_making() -> Any:
    """The graph that TensorFlow traces at present; `None` if it does not, and elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def is_traced(tensor: Any) -> bool:
    """Whether JAX traces a function, and the tensor has no value yet."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return isinstance(tensor, jax.core.Tracer)
