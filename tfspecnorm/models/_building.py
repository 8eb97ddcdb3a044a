"""What the model builders share: checks of their arguments, numbers of filters, activations."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_positive, is_integer


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
