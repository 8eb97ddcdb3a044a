"""`keras.ops`, in whose place PyTorch gets its own operations, see Note [Direct], and operations
that Keras does not have, or makes many of.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

# Note [Direct]
# PyTorch runs operation by operation. Each of Keras' first looks through its arguments for symbolic
# tensors, which takes several times as long as to multiply two vectors, and an array is a new
# tensor each time. A wrapper never computes with symbolic ones. TensorFlow and JAX are traced.

_BACKEND = keras.backend.backend()

if _BACKEND == "torch":
    from tfspecnorm._backend import torch_operations as ops
else:
    from keras import ops

__all__ = ["constant", "entry", "gather", "ops", "outer", "row_of_largest", "uncompiled"]


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of a function of tensors: `torch.compile` makes one operation of it.

    For loops that end when a tensor says so, at which its graph would break. The function returns
    tensors of the precision of its first one; callers state their `shapes`, as for `traced_once`.
    It takes tensors without a gradient. Elsewhere the function stays as it is.
    """
    return ops.uncompiled(function) if _BACKEND == "torch" else function


def constant(table: np.ndarray, like: Any, shape: tuple[int, ...] | None = None) -> Any:
    """The tensor of a table that is kept and never changes.

    Args:
        table: Array.
        like: Tensor with which it is computed, on PyTorch on whose device it is.
        shape: In which shape, if not its own.
    """
    if _BACKEND == "torch":
        found = ops.kept(table, like)
        return found if shape is None else found.view(shape)
    return ops.convert_to_tensor(table if shape is None else table.reshape(shape))


def gather(values: Any, places: Any, axis: int) -> Any:
    """The entries at places along an axis, none of which is negative."""
    if _BACKEND == "tensorflow":
        import tensorflow as tf

        # In Keras `take` takes ten operations more, because it looks for negative places.
        return tf.gather(values, places, axis=axis)
    return ops.take(values, places, axis=axis)


def entry(tensor: Any, place: Any, axis: int) -> Any:
    """What stands at a place along an axis, a tensor without this axis."""
    if _BACKEND == "torch":
        # Eager: what `ops.slice` does in Python takes ten times as long.
        return tensor.index_select(axis, ops.reshape(place, (1,))).squeeze(axis)
    if _BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.gather(tensor, place, axis=axis)
    # JAX wants places of one type, which is not that of a plain 0 where 64 bits are enabled.
    start, shape = [ops.zeros_like(place)] * len(tensor.shape), list(tensor.shape)
    start[axis], shape[axis] = place, 1
    return ops.squeeze(ops.slice(tensor, start, shape), axis)


def row_of_largest(matrix: Any, sizes: Any) -> Any:
    """The row with the largest size, of a matrix or of each one in a stack."""
    if _BACKEND == "tensorflow":
        import tensorflow as tf

        # Keras makes twenty operations of it, with bits that LiteRT does not know.
        place = tf.argmax(sizes, axis=-1, output_type="int32")
        return tf.gather(matrix, place, axis=-2, batch_dims=len(matrix.shape) - 2)
    place = ops.expand_dims(ops.argmax(sizes, axis=-1, keepdims=True), -1)
    return ops.squeeze(ops.take_along_axis(matrix, place, axis=-2), -2)


def outer(left: Any, right: Any) -> Any:
    """The matrix v uᵀ of two vectors, or a stack of them."""
    left, right = ops.expand_dims(left, -1), ops.expand_dims(right, -2)
    return ops.matmul(left, right) if _products_are_exact() else left * right


@functools.cache
def _products_are_exact() -> bool:
    """Whether matrix products keep 32 bits and are the quicker way to multiply vectors.

    TensorFlow takes four times as long to broadcast on a CPU; a GPU may round factors to 10 bits.
    """
    if _BACKEND != "tensorflow":
        return False
    import tensorflow as tf

    return {device.device_type for device in tf.config.list_physical_devices()} == {"CPU"}
