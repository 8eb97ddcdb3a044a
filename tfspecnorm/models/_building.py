"""What the model builders share: checks of their arguments, numbers of filters, activations."""

import numbers
from typing import Any

import keras

from tfspecnorm.layers.scales import check_positive


def check_image_shape(input_shape: Any, smallest: int = 1) -> tuple[int, int, int]:
    """The shape of an image as integers, or a `ValueError`."""
    try:
        height, width, channels = input_shape
    except (TypeError, ValueError):
        height = width = channels = None
    if (
        not all(is_integer(size) for size in (height, width, channels))
        or min(height, width) < smallest
        or channels < 1
    ):
        least = f" (at least {smallest} each)" if smallest > 1 else ""
        raise ValueError(
            f"Argument `input_shape` must be a tuple of height, width{least} and channels. "
            f"Received: input_shape={input_shape!r}"
        )
    return int(height), int(width), int(channels)


def check_fraction(name: str, value: Any) -> float:
    """The value, if it is in [0, 1), or a `ValueError` that names the argument."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"Argument `{name}` must be in [0, 1). Received: {name}={value!r}")
    return float(value)


def filters_of(filters: int, width: float) -> int:
    """A number of filters times the width multiplier, at least 1.

    >>> filters_of(64, 0.25), filters_of(16, 0.01)
    (16, 1)
    """
    return max(1, round(filters * check_positive("width", width)))


def activation(negative_slope: float, name: str) -> keras.layers.Layer:
    """A ReLU, or a leaky one."""
    # A leaky ReLU of slope 0 would reach the exported file as an operator of its own; a ReLU
    # becomes part of the convolution.
    if negative_slope:
        return keras.layers.LeakyReLU(negative_slope=negative_slope, name=name)
    return keras.layers.ReLU(name=name)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
