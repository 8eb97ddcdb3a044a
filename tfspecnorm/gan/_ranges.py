"""Ranges of images and of outputs: whether data and networks fit a loss and each other."""

import warnings
from typing import Any

import keras
import numpy as np

from tfspecnorm.gan import losses
from tfspecnorm.surgery.graph import last_calls

_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0)}
_PROBABILITIES = ("sigmoid", "hard_sigmoid", "softmax")
_OF_LOGITS = (losses.Hinge, losses.NonSaturating, losses.Wasserstein)
# Layers that move or drop numbers without changing them.
_MOVERS = (
    *(keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute, keras.layers.Identity),
    *(keras.layers.Dropout, keras.layers.Cropping1D, keras.layers.Cropping2D),
)
# Images are rounded, and resized by filters that overshoot.
_TOLERANCE = 0.05


def warn_of_probabilities(discriminator: keras.Model, loss: Any) -> None:
    """Warn if a loss of logits is given what a discriminator made probabilities of."""
    found = last_activation(discriminator)
    if found in _PROBABILITIES and isinstance(loss, _OF_LOGITS):
        warnings.warn(
            f"Argument `discriminator` should have logits as outputs, which {loss!r} takes: "
            f"remove its last activation. Received: discriminator '{discriminator.name}', which "
            f"ends in a {found}",
            stacklevel=3,
        )


def warn_of_range(generator: keras.Model, images: Any) -> None:
    """Warn if a batch of images has values that the generator cannot make."""
    found = last_activation(generator)
    values = np.asarray(keras.ops.convert_to_numpy(images))
    if found not in _RANGES or not values.size:
        return
    least, largest = _RANGES[found]
    low, high = float(values.min()), float(values.max())
    if low < least - _TOLERANCE or high > largest + _TOLERANCE:
        warnings.warn(
            f"Argument `x` should be images in [{least:g}, {largest:g}], the range of the "
            f"generator, which ends in a {found}. Received: x with values from {low:g} to {high:g}",
            stacklevel=4,
        )


def first_images(x: Any, batch_size: Any) -> Any:
    """Images that training begins with, or `None` if they cannot be had without a side effect."""
    if isinstance(x, keras.utils.PyDataset):
        x = x[0]
    elif hasattr(x, "shape"):
        return x[: batch_size if isinstance(batch_size, int) else 32]
    elif hasattr(getattr(x, "dataset", None), "__getitem__"):
        # A loader of PyTorch: its order is not to be disturbed.
        x = x.dataset[0]
    else:
        return None
    first = x[0] if isinstance(x, (list, tuple)) else x
    return first if hasattr(first, "shape") else None


def last_activation(network: keras.Model) -> str | None:
    """The name of the function that makes a network's output, `None` if it is not known."""
    operation = next(
        (call.operation for call in last_calls(network) if not isinstance(call.operation, _MOVERS)),
        None,
    )
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if operation is None or isinstance(operation, keras.layers.Layer):
        # A wrapper has the activation of its layer.
        function = getattr(getattr(operation, "layer", operation), "activation", None)
        return getattr(function, "__name__", None)
    return type(operation).__name__.lower()
