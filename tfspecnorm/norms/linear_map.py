"""A frozen description of the linear map that a kernel stands for."""

import dataclasses
import math
from types import ModuleType
from typing import Any

from keras import ops

DENSE = "dense"
CONVOLUTION = "convolution"
TRANSPOSED_CONVOLUTION = "transposed_convolution"
DEPTHWISE_CONVOLUTION = "depthwise_convolution"
EMBEDDING = "embedding"


@dataclasses.dataclass(frozen=True)
class Window:
    """How a convolution slides: everything its true operator needs beside the kernel.

    Args:
        strides: Tuple of integers, one for each spatial axis.
        padding: `"valid"`, `"same"` or `"causal"`; `"circular"` in a description of one's own.
        dilation_rate: Tuple of integers, one for each spatial axis.
        data_format: `"channels_first"` or `"channels_last"`.
        input_size: Tuple of the spatial sizes in pixels that the layer was built for;
            `None` for a size that may change.
        output_padding: Tuple of integers or `None`; transposed convolutions only.
    """

    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    data_format: str
    input_size: tuple[int | None, ...]
    output_padding: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """The linear map of a kernel, and its view as a matrix.

    The matrix has one row for each input entry and tap and one column for each output. A
    kernel whose map is block diagonal (groups, depthwise, a shared axis of an einsum) is a
    stack of such matrices, and every norm of it is the largest over the blocks.

    Args:
        kind: What the kernel is: `"dense"`, `"convolution"`, `"transposed_convolution"`,
            `"depthwise_convolution"` or `"embedding"`.
        kernel_shape: Shape of the kernel.
        output_axes: Axes of `view_shape` that count outputs.
        block_axes: Axes of `view_shape` that count independent blocks.
        view_shape: Shape that the kernel is reshaped to before axes are picked (a grouped
            convolution splits its outputs into groups). Defaults to `kernel_shape`.
        window: `Window` of a convolution, `None` for other kinds.

    Example:

    >>> dense = LinearMap("dense", (3, 4), output_axes=(1,))
    >>> dense.matrix_shape
    (3, 4)
    >>> depthwise = LinearMap("depthwise_convolution", (3, 3, 8, 2), (3,), block_axes=(2,))
    >>> depthwise.matrix_shape
    (8, 9, 2)
    """

    kind: str
    kernel_shape: tuple[int, ...]
    output_axes: tuple[int, ...]
    block_axes: tuple[int, ...] = ()
    view_shape: tuple[int, ...] | None = None
    window: Window | None = None

    @property
    def _view(self) -> tuple[int, ...]:
        return self.view_shape or self.kernel_shape

    @property
    def _axes(self) -> tuple[int, ...]:
        """Axes of the view in the order blocks, inputs, outputs."""
        picked = self.block_axes + self.output_axes
        inputs = tuple(axis for axis in range(len(self._view)) if axis not in picked)
        return self.block_axes + inputs + self.output_axes

    @property
    def matrix_shape(self) -> tuple[int, ...]:
        """`(inputs, outputs)`, or `(blocks, inputs, outputs)` for a block-diagonal map."""
        outputs = math.prod(self._view[axis] for axis in self.output_axes)
        blocks = math.prod(self._view[axis] for axis in self.block_axes)
        inputs = math.prod(self._view) // max(outputs * blocks, 1)
        return (blocks, inputs, outputs) if self.block_axes else (inputs, outputs)

    @property
    def tap_axes(self) -> tuple[int, ...]:
        """Axes of the view that count the taps of a convolution: all but its last two."""
        if self.kind in (CONVOLUTION, TRANSPOSED_CONVOLUTION, DEPTHWISE_CONVOLUTION):
            return tuple(range(len(self.kernel_shape) - 2))
        return ()

    @property
    def taps(self) -> int:
        """How many taps the kernel has; 1 for what is no convolution."""
        return math.prod(self._view[axis] for axis in self.tap_axes)

    @property
    def fans(self) -> tuple[int, int]:
        """How many channels an output channel sees, and how many see an input channel."""
        *_, inputs, outputs = self.matrix_shape
        return inputs // max(self.taps, 1), outputs

    @property
    def adjoint(self) -> "LinearMap":
        """The map of the same kernel from outputs to inputs; rows still count the taps."""
        picked = self.block_axes + self.output_axes + self.tap_axes
        swapped = {CONVOLUTION: TRANSPOSED_CONVOLUTION, TRANSPOSED_CONVOLUTION: CONVOLUTION}
        return dataclasses.replace(
            self,
            kind=swapped.get(self.kind, self.kind),
            output_axes=tuple(axis for axis in range(len(self._view)) if axis not in picked),
        )

    def matrix(self, kernel: Any, library: ModuleType = ops) -> Any:
        """The matrix view of a kernel: a tensor, or an array with `library=numpy`."""
        if self._view != self.kernel_shape:
            kernel = library.reshape(kernel, self._view)
        if self._axes != tuple(range(len(self._view))):
            kernel = library.transpose(kernel, self._axes)
        return library.reshape(kernel, self.matrix_shape)

    def kernel(self, matrix: Any, library: ModuleType = ops) -> Any:
        """The kernel whose matrix view is this: the inverse of `matrix`."""
        view = [self._view[axis] for axis in self._axes]
        inverse = sorted(range(len(view)), key=lambda position: self._axes[position])
        kernel = library.reshape(matrix, view)
        if inverse != list(range(len(view))):
            kernel = library.transpose(kernel, inverse)
        return library.reshape(kernel, self.kernel_shape)
