"""Which pixels a convolution reads: its geometry along each axis, and tables of positions."""

import functools
import math
from typing import NamedTuple

import numpy as np

from tfspecnorm.norms.linear_map import TRANSPOSED_CONVOLUTION, LinearMap
from tfspecnorm.norms.window import Window


class Axis(NamedTuple):
    """One spatial axis of a convolution: output o reads input o·stride + tap·dilation − left.

    Args:
        taps: Number of taps.
        stride: Stride in pixels.
        dilation: Distance of the taps in pixels.
        padding: Padding as in `Window`.
        size: Pixels of the input, `None` if they may change.
        outputs: Pixels of the output, `None` with `size`.
        left: Zeros in front of the input, 0 if the size is unknown.
    """

    taps: int
    stride: int
    dilation: int
    padding: str
    size: int | None
    outputs: int | None
    left: int

    @property
    def reach(self) -> int:
        """Pixels from the first tap to the last one."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def extent(self) -> int:
        """Pixels that the input and the larger one of its margins take up."""
        end = (self.outputs - 1) * self.stride + self.reach - self.left
        # Pixels behind the last window are never read.
        return min(self.size, end) + max(self.left, end - self.size, 0)

    def inputs_of_outputs(self) -> np.ndarray:
        """Input that each output reads with each tap, −1 for a zero."""
        position = np.arange(self.outputs)[:, None] * self.stride - self.left
        position = position + np.arange(self.taps) * self.dilation
        if self.padding == "circular":
            return position % self.size
        return np.where((position >= 0) & (position < self.size), position, -1)

    def outputs_of_inputs(self) -> np.ndarray:
        """Output that reads each input with each tap, −1 for none."""
        position = np.arange(self.size)[:, None] + self.left
        position = position - np.arange(self.taps) * self.dilation
        if self.padding == "circular":
            position = position % self.size
        output, rest = np.divmod(position, self.stride)
        return np.where((rest == 0) & (output >= 0) & (output < self.outputs), output, -1)


@functools.lru_cache(maxsize=256)
def axes_of(linear_map: LinearMap) -> tuple[Axis, ...]:
    """The axes of a convolution, or of the one whose adjoint a transposed convolution is.

    Without a window: of stride 1, at any size.
    """
    taps = tuple(linear_map.kernel_shape[axis] for axis in linear_map.tap_axes)
    window = linear_map.window
    if window is None:
        return tuple(Axis(count, 1, 1, "same", None, None, 0) for count in taps)
    transposed = linear_map.kind == TRANSPOSED_CONVOLUTION
    describe = _transposed_axis if transposed else _axis
    extra = window.output_padding or (None,) * len(taps)
    return tuple(
        describe(*given, window.padding, added)
        for *given, added in zip(
            taps, window.strides, window.dilation_rate, window.input_size, extra, strict=True
        )
    )


def sizes_known(window: Window | None) -> bool:
    """Whether every axis has a size."""
    return window is not None and None not in window.input_size


def _axis(
    taps: int, stride: int, dilation: int, size: int | None, padding: str, _: int | None = None
) -> Axis:
    if size is None:
        return Axis(taps, stride, dilation, padding, None, None, 0)
    reach = dilation * (taps - 1) + 1
    outputs = -(-size // stride)
    left = 0
    if padding == "valid":
        outputs = (size - reach) // stride + 1
    elif padding == "causal":
        left = reach - 1
    elif padding == "same":
        left = max((outputs - 1) * stride + reach - size, 0) // 2
    return Axis(taps, stride, dilation, padding, size, outputs, left)


def _transposed_axis(
    taps: int, stride: int, dilation: int, size: int | None, padding: str, added: int | None
) -> Axis:
    """The axis of the convolution from the layer's outputs to its inputs."""
    if size is None:
        return Axis(taps, stride, dilation, padding, None, None, 0)
    reach = dilation * (taps - 1) + 1
    if added is None:
        large = size * stride + (max(reach - stride, 0) if padding == "valid" else 0)
    else:
        large = (size - 1) * stride + reach + added
        large -= 2 * (reach // 2) if padding == "same" else 0
    total = (size - 1) * stride + reach - large
    left = max(total, 0) // 2 if padding == "same" else 0
    return Axis(taps, stride, dilation, padding, large, size, left)


@functools.lru_cache(maxsize=256)
def tables(axes: tuple[Axis, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions `(outputs, taps)` in the input, and `(inputs, taps)` in the output.

    The number of positions stands for a zero, which is to follow them.
    """
    sizes = [axis.size for axis in axes]
    outputs = [axis.outputs for axis in axes]
    forward = _flat([axis.inputs_of_outputs() for axis in axes], sizes)
    backward = _flat([axis.outputs_of_inputs() for axis in axes], outputs)
    return forward, backward


def _flat(tables: list[np.ndarray], sizes: list[int]) -> np.ndarray:
    index, absent = np.zeros((1, 1), int), np.zeros((1, 1), bool)
    for table, size in zip(tables, sizes, strict=True):
        index = index[:, None, :, None] * size + table[None, :, None, :]
        absent = absent[:, None, :, None] | (table < 0)[None, :, None, :]
        rows, columns = index.shape[0] * index.shape[1], index.shape[2] * index.shape[3]
        index, absent = index.reshape(rows, columns), absent.reshape(rows, columns)
    return np.where(absent, math.prod(sizes), index).astype("int32")
