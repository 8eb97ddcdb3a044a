"""Where variables are made while a function is traced."""

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
