"""A frozen description of the linear map that a kernel stands for."""

import dataclasses
import functools
import math
from types import ModuleType
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm._util.arguments import check_positive_integer
from tfspecnorm.norms.window import Window, check_sizes, lists_to_tuples, unfit, window

DENSE = "dense"
CONVOLUTION = "convolution"
TRANSPOSED_CONVOLUTION = "transposed_convolution"
DEPTHWISE_CONVOLUTION = "depthwise_convolution"
EMBEDDING = "embedding"
_KINDS = (DENSE, CONVOLUTION, TRANSPOSED_CONVOLUTION, DEPTHWISE_CONVOLUTION, EMBEDDING)


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

    def __post_init__(self) -> None:
        lists_to_tuples(self)
        if not isinstance(self.kind, str) or self.kind not in _KINDS:
            raise unfit("kind", self.kind, f"one of {', '.join(map(repr, _KINDS))}")
        check_sizes("kernel_shape", self.kernel_shape, 0)
        if self.view_shape is not None:
            check_sizes("view_shape", self.view_shape, 0)
            if math.prod(self.view_shape) != math.prod(self.kernel_shape):
                raise unfit("view_shape", self.view_shape, f"a shape of {self.kernel_shape}")
        rank = len(self._view)
        check_sizes("output_axes", self.output_axes, 0, rank)
        check_sizes("block_axes", self.block_axes, 0, rank)
        picked = self.output_axes + self.block_axes
        if len(set(picked)) < len(picked):
            raise unfit("block_axes", self.block_axes, "other axes than `output_axes`")
        if self.window is not None:
            taps = len(self.tap_axes)
            if not isinstance(self.window, Window) or len(self.window.strides) != taps:
                wanted = f"`None` or a `Window` of {taps} axes" if taps else "`None`"
                raise unfit("window", self.window, f"{wanted} for a map of this kind and shape")

    def compute_views(self) -> None:
        """Compute all that is kept of a description: `torch.compile` cannot, in a traced call."""
        for view in (self, self.adjoint, self.as_convolution):
            for name, value in vars(LinearMap).items():
                if isinstance(value, functools.cached_property):
                    getattr(view, name)

    @functools.cached_property
    def kept(self) -> dict[Any, Any]:
        """What is made of the description once, and needed in each call."""
        return {}

    @functools.cached_property
    def _view(self) -> tuple[int, ...]:
        return self.view_shape or self.kernel_shape

    @functools.cached_property
    def _axes(self) -> tuple[int, ...]:
        """Axes of the view in the order blocks, inputs, outputs."""
        picked = self.block_axes + self.output_axes
        inputs = tuple(axis for axis in range(len(self._view)) if axis not in picked)
        return self.block_axes + inputs + self.output_axes

    @functools.cached_property
    def _stacked_axes(self) -> tuple[int, ...]:
        count, stop = len(self.block_axes), len(self._axes) - len(self.output_axes)
        return self._axes[count:stop] + self._axes[:count] + self._axes[stop:]

    @functools.cached_property
    def matrix_shape(self) -> tuple[int, ...]:
        """`(inputs, outputs)`, or `(blocks, inputs, outputs)` for a block-diagonal map."""
        outputs = math.prod(self._view[axis] for axis in self.output_axes)
        blocks = math.prod(self._view[axis] for axis in self.block_axes)
        inputs = math.prod(self._view) // max(outputs * blocks, 1)
        return (blocks, inputs, outputs) if self.block_axes else (inputs, outputs)

    @functools.cached_property
    def matrix_axes(self) -> tuple[tuple[int, ...], ...]:
        """For each axis of the matrix view the axes of the kernel that are flattened to it."""
        if self._view != self.kernel_shape:
            return ((),) * len(self.matrix_shape)
        count, stop = len(self.block_axes), len(self._axes) - len(self.output_axes)
        axes = (self._axes[:count], self._axes[count:stop], self._axes[stop:])
        return axes if self.block_axes else axes[1:]

    @functools.cached_property
    def _stacked_shape(self) -> tuple[int, int, int]:
        *blocks, inputs, outputs = self.matrix_shape
        return inputs, math.prod(blocks), outputs

    @functools.cached_property
    def _in_order(self) -> bool:
        return self._axes == tuple(range(len(self._view)))

    @functools.cached_property
    def _stacked_in_order(self) -> bool:
        return self._stacked_axes == tuple(range(len(self._view)))

    @functools.cached_property
    def is_matrix(self) -> bool:
        """Whether the kernel is its own matrix view."""
        return self.keeps_order and self.matrix_shape == self.kernel_shape

    @functools.cached_property
    def keeps_order(self) -> bool:
        """Whether the kernel is one matrix in another shape, entry by entry."""
        return not self.block_axes and self._in_order

    @functools.cached_property
    def tap_axes(self) -> tuple[int, ...]:
        """Axes of the view that count the taps of a convolution: all but its last two."""
        if self.kind in (CONVOLUTION, TRANSPOSED_CONVOLUTION, DEPTHWISE_CONVOLUTION):
            return tuple(range(len(self.kernel_shape) - 2))
        return ()

    @functools.cached_property
    def taps(self) -> int:
        """How many taps the kernel has; 1 for what is no convolution."""
        return math.prod(self._view[axis] for axis in self.tap_axes)

    @property
    def fans(self) -> tuple[int, int]:
        """How many channels an output channel sees, and how many see an input channel."""
        *_, inputs, outputs = self.matrix_shape
        return inputs // max(self.taps, 1), outputs

    @functools.cached_property
    def adjoint(self) -> "LinearMap":
        """The map of the same kernel from outputs to inputs; rows still count the taps."""
        picked = self.block_axes + self.output_axes + self.tap_axes
        swapped = {CONVOLUTION: TRANSPOSED_CONVOLUTION, TRANSPOSED_CONVOLUTION: CONVOLUTION}
        return dataclasses.replace(
            self,
            kind=swapped.get(self.kind, self.kind),
            output_axes=tuple(axis for axis in range(len(self._view)) if axis not in picked),
        )

    @property
    def as_convolution(self) -> "LinearMap":
        """The convolution whose adjoint a transposed one is: both have the same norm."""
        return self.adjoint if self.kind == TRANSPOSED_CONVOLUTION else self

    @property
    def convolves(self) -> bool:
        """Whether the map is a convolution of more than one tap, no matrix at each pixel."""
        return self.taps > 1

    def at_size(self, input_size: int | tuple[int | None, ...]) -> "LinearMap":
        """The same map for inputs of another size; without taps the size does not matter."""
        taps = len(self.tap_axes)
        size = (input_size,) * taps if isinstance(input_size, int) else tuple(input_size)
        if not self.convolves:
            return self
        if len(size) != taps:
            raise ValueError(
                f"Argument `input_size` must have one entry for each of {taps} spatial axes. "
                f"Received: input_size={input_size!r}"
            )
        if size not in self.kept:
            own = dataclasses.replace(self.window or window(taps), input_size=size)
            self.kept[size] = dataclasses.replace(self, window=own)
            self.kept[size].compute_views()
        return self.kept[size]

    def blocks(self, kernel: Any) -> list[tuple[Any, "LinearMap"]]:
        """The kernels of a convolution's blocks as arrays, and the map of each.

        Groups and channels become convolutions of one block.
        """
        if not self.block_axes:
            return [(kernel, self)]
        *_, rows, outputs = self.matrix_shape
        taps = self._view[: len(self.tap_axes)]
        shape = (*taps, rows // self.taps, outputs)
        parts = self.matrix(np.asarray(kernel), np).reshape(-1, *shape)
        single = convolution(shape, self.window)
        return [(part, single) for part in parts]

    def matrix(self, kernel: Any, library: ModuleType = ops) -> Any:
        """The matrix view of a kernel: a tensor, or an array with `library=numpy`."""
        if not self._in_order:
            kernel = self._picked(kernel, self._axes, library)
        return library.reshape(kernel, self.matrix_shape)

    def kernel(self, matrix: Any, library: ModuleType = ops) -> Any:
        """The kernel whose matrix view is this: the inverse of `matrix`."""
        if not self._in_order:
            matrix = self._put_back(matrix, self._axes, library)
        return library.reshape(matrix, self.kernel_shape)

    def stacked(self, kernel: Any, library: ModuleType = ops) -> Any:
        """The kernel as `(inputs · taps, blocks, outputs)`: for Keras' kernels a mere reshape."""
        if not self._stacked_in_order:
            kernel = self._picked(kernel, self._stacked_axes, library)
        return library.reshape(kernel, self._stacked_shape)

    def unstacked(self, stack: Any, library: ModuleType = ops) -> Any:
        """The kernel that is stacked like this: the inverse of `stacked`."""
        if not self._stacked_in_order:
            stack = self._put_back(stack, self._stacked_axes, library)
        return library.reshape(stack, self.kernel_shape)

    def _picked(self, kernel: Any, axes: tuple[int, ...], library: ModuleType) -> Any:
        if self._view != self.kernel_shape:
            kernel = library.reshape(kernel, self._view)
        return library.transpose(kernel, axes)

    def _put_back(self, entries: Any, axes: tuple[int, ...], library: ModuleType) -> Any:
        entries = library.reshape(entries, [self._view[axis] for axis in axes])
        return library.transpose(entries, sorted(range(len(axes)), key=axes.__getitem__))


def _shape(kernel_shape: Any, least: int) -> tuple[int, ...]:
    """The shape of a kernel with at least so many axes, a matrix' with two."""
    shape = tuple(kernel_shape) if isinstance(kernel_shape, (tuple, list)) else kernel_shape
    if not isinstance(shape, tuple) or len(shape) < least:
        raise unfit("kernel_shape", kernel_shape, f"a tuple of at least {least} integers")
    return shape


def dense(kernel_shape: tuple[int, ...], kind: str = DENSE) -> LinearMap:
    """A matrix `(inputs, outputs)`.

    >>> dense((3, 4)).matrix_shape
    (3, 4)
    """
    return LinearMap(kind, _shape(kernel_shape, 2), output_axes=(1,))


def convolution(
    kernel_shape: tuple[int, ...], window: Window | None = None, groups: int = 1
) -> LinearMap:
    """A kernel `(taps..., inputs / groups, outputs)`; the outputs of a group are neighbours.

    >>> convolution((3, 3, 4, 6), groups=2).matrix_shape
    (2, 36, 3)
    """
    shape = _shape(kernel_shape, 3)
    groups = check_positive_integer("groups", groups)
    if shape[-1] % groups:
        raise unfit("groups", groups, f"a divisor of {shape[-1]} outputs")
    if groups == 1:
        return LinearMap(CONVOLUTION, shape, (len(shape) - 1,), window=window)
    view = (*shape[:-1], groups, shape[-1] // groups)
    return LinearMap(CONVOLUTION, shape, (len(view) - 1,), (len(view) - 2,), view, window)


def transposed_convolution(
    kernel_shape: tuple[int, ...], window: Window | None = None
) -> LinearMap:
    """A kernel `(taps..., outputs, inputs)`: the axis before the last one counts outputs.

    >>> transposed_convolution((3, 3, 4, 6)).matrix_shape
    (54, 4)
    """
    shape = _shape(kernel_shape, 3)
    return LinearMap(TRANSPOSED_CONVOLUTION, shape, (len(shape) - 2,), window=window)


def depthwise_convolution(kernel_shape: tuple[int, ...], window: Window | None = None) -> LinearMap:
    """A kernel `(taps..., inputs, multiplier)`: every input channel is a block of its own.

    >>> depthwise_convolution((3, 3, 4, 2)).matrix_shape
    (4, 9, 2)
    """
    shape = _shape(kernel_shape, 3)
    rank = len(shape)
    return LinearMap(DEPTHWISE_CONVOLUTION, shape, (rank - 1,), (rank - 2,), window=window)
