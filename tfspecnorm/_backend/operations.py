"""`keras.ops`, in whose place PyTorch gets its own operations, see Note [Direct]."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

# Note [Direct]
# PyTorch runs operation by operation. Each of Keras' first looks through its arguments for symbolic
# tensors, which takes several times as long as to multiply two vectors, and an array is a new
# tensor each time. A wrapper never computes with symbolic ones. TensorFlow and JAX are traced.

if keras.backend.backend() == "torch":
    from tfspecnorm._backend import torch_operations as ops
else:
    from keras import ops

__all__ = ["constant", "ops", "uncompiled"]


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `torch.compile` runs the function as it is. It does nothing elsewhere."""
    return ops.uncompiled(function) if keras.backend.backend() == "torch" else function


def constant(table: np.ndarray, like: Any, shape: tuple[int, ...] | None = None) -> Any:
    """The tensor of a table that is kept and never changes.

    Args:
        table: Array.
        like: Tensor with which it is computed, on PyTorch on whose device it is.
        shape: In which shape, if not its own.
    """
    if keras.backend.backend() == "torch":
        found = ops.kept(table, like)
        return found if shape is None else found.view(shape)
    return ops.convert_to_tensor(table if shape is None else table.reshape(shape))
