"""A frozen description of the linear map that a kernel stands for."""

import dataclasses
import math
from types import ModuleType
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm._util.arguments import check_positive_integer, is_integer

DENSE = "dense"
CONVOLUTION = "convolution"
TRANSPOSED_CONVOLUTION = "transposed_convolution"
DEPTHWISE_CONVOLUTION = "depthwise_convolution"
EMBEDDING = "embedding"
_KINDS = (DENSE, CONVOLUTION, TRANSPOSED_CONVOLUTION, DEPTHWISE_CONVOLUTION, EMBEDDING)
_PADDINGS = ("valid", "same", "causal", "circular")
_DATA_FORMATS = ("channels_last", "channels_first")


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

    def __post_init__(self) -> None:
        _lists_to_tuples(self)
        _check_sizes("strides", self.strides, 1)
        if not isinstance(self.padding, str) or self.padding not in _PADDINGS:
            raise _unfit("padding", self.padding, f"one of {', '.join(map(repr, _PADDINGS))}")
        _check_sizes("dilation_rate", self.dilation_rate, 1)
        if not isinstance(self.data_format, str) or self.data_format not in _DATA_FORMATS:
            formats = " or ".join(map(repr, _DATA_FORMATS))
            raise _unfit("data_format", self.data_format, formats)
        _check_sizes("input_size", self.input_size, 1, optional=True)
        if self.output_padding is not None:
            _check_sizes("output_padding", self.output_padding, 0)
        rank = len(self.strides)
        for name in ("dilation_rate", "input_size", "output_padding"):
            value = getattr(self, name)
            if value is not None and len(value) != rank:
                raise _unfit(name, value, f"a tuple of {rank} entries, as `strides` is")


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
        _lists_to_tuples(self)
        if not isinstance(self.kind, str) or self.kind not in _KINDS:
            raise _unfit("kind", self.kind, f"one of {', '.join(map(repr, _KINDS))}")
        _check_sizes("kernel_shape", self.kernel_shape, 0)
        if self.view_shape is not None:
            _check_sizes("view_shape", self.view_shape, 0)
            if math.prod(self.view_shape) != math.prod(self.kernel_shape):
                raise _unfit("view_shape", self.view_shape, f"a shape of {self.kernel_shape}")
        rank = len(self._view)
        _check_sizes("output_axes", self.output_axes, 0, rank)
        _check_sizes("block_axes", self.block_axes, 0, rank)
        picked = self.output_axes + self.block_axes
        if len(set(picked)) < len(picked):
            raise _unfit("block_axes", self.block_axes, "other axes than `output_axes`")
        if self.window is not None:
            taps = len(self.tap_axes)
            if not isinstance(self.window, Window) or len(self.window.strides) != taps:
                wanted = f"`None` or a `Window` of {taps} axes" if taps else "`None`"
                raise _unfit("window", self.window, f"{wanted} for a map of this kind and shape")

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
    def keeps_order(self) -> bool:
        """Whether the kernel is one matrix in another shape, entry by entry."""
        return not self.block_axes and self._axes == tuple(range(len(self._view)))

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
        own = self.window or window(taps)
        return dataclasses.replace(self, window=dataclasses.replace(own, input_size=size))

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
        if self._view != self.kernel_shape:
            kernel = library.reshape(kernel, self._view)
        if self._axes != tuple(range(len(self._view))):
            kernel = library.transpose(kernel, self._axes)
        return library.reshape(kernel, self.matrix_shape)

    def stacked(self, kernel: Any, library: ModuleType = ops) -> Any:
        """The kernel as `(inputs · taps, blocks, outputs)`: for Keras' kernels a mere reshape."""
        *blocks, inputs, outputs = self.matrix_shape
        axes = self._stacked_axes
        if axes != tuple(range(len(axes))):
            kernel = library.transpose(library.reshape(kernel, self._view), axes)
        return library.reshape(kernel, (inputs, math.prod(blocks), outputs))

    def unstacked(self, stack: Any, library: ModuleType = ops) -> Any:
        """The kernel that is stacked like this: the inverse of `stacked`."""
        return self._arranged(stack, self._stacked_axes, library)

    def kernel(self, matrix: Any, library: ModuleType = ops) -> Any:
        """The kernel whose matrix view is this: the inverse of `matrix`."""
        return self._arranged(matrix, self._axes, library)

    @property
    def _stacked_axes(self) -> tuple[int, ...]:
        count, stop = len(self.block_axes), len(self._axes) - len(self.output_axes)
        return self._axes[count:stop] + self._axes[:count] + self._axes[stop:]

    def _arranged(self, entries: Any, axes: tuple[int, ...], library: ModuleType) -> Any:
        """The kernel whose axes in this order hold the entries."""
        if axes != tuple(range(len(axes))):
            entries = library.reshape(entries, [self._view[axis] for axis in axes])
            entries = library.transpose(entries, sorted(range(len(axes)), key=axes.__getitem__))
        return library.reshape(entries, self.kernel_shape)


def _check_sizes(
    name: str, sizes: Any, least: int, stop: float = math.inf, optional: bool = False
) -> None:
    """A `ValueError` unless sizes are a tuple of integers from `least` on, below `stop`."""
    # Plain loops: kernels are described anew in each call of a layer.
    if isinstance(sizes, tuple):
        for size in sizes:
            if type(size) is not int and not is_integer(size):
                if optional and size is None:
                    continue
                break
            if not least <= size < stop:
                break
        else:
            return
    limit = f"{least} or larger" if stop == math.inf else f"from {least} to {stop - 1}"
    others = ", or `None`" if optional else ""
    raise _unfit(name, sizes, f"a tuple of integers, each {limit}{others}")


def _unfit(name: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"Argument `{name}` must be {wanted}. Received: {name}={value!r}")


def _lists_to_tuples(description: Window | LinearMap) -> None:
    """A description is a key of tables and functions, and lists are none."""
    # Not by `dataclasses.fields`: kernels are described anew in each call of a layer.
    for name, value in list(vars(description).items()):
        if isinstance(value, list):
            object.__setattr__(description, name, tuple(value))


def _shape(kernel_shape: Any, least: int) -> tuple[int, ...]:
    """The shape of a kernel with at least so many axes, a matrix' with two."""
    shape = tuple(kernel_shape) if isinstance(kernel_shape, (tuple, list)) else kernel_shape
    if not isinstance(shape, tuple) or len(shape) < least:
        raise _unfit("kernel_shape", kernel_shape, f"a tuple of at least {least} integers")
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
        raise _unfit("groups", groups, f"a divisor of {shape[-1]} outputs")
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


def window(
    rank: int,
    input_size: int | tuple[int | None, ...] | None = None,
    strides: int | tuple[int, ...] = 1,
    padding: str = "same",
    dilation_rate: int | tuple[int, ...] = 1,
    output_padding: int | tuple[int, ...] | None = None,
    data_format: str = "channels_last",
) -> Window:
    """A `Window` from numbers for all axes alike or tuples.

    Args:
        rank: Number of spatial axes.
        input_size: Pixels of the input; `None` for a size that may change.
        strides: Stride in pixels. Defaults to 1.
        padding: `"valid"`, `"same"`, `"causal"` or `"circular"`. Defaults to `"same"`.
        dilation_rate: Distance of the taps in pixels. Defaults to 1.
        output_padding: As in `keras.layers.Conv2DTranspose`.
        data_format: `"channels_last"` or `"channels_first"`; no norm depends on it.

    Example:

    >>> window(2, input_size=8, padding="valid").input_size
    (8, 8)
    """
    rank = check_positive_integer("rank", rank)
    given = (strides, dilation_rate, input_size, output_padding)
    strides, dilation_rate, input_size, output_padding = (
        tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank for value in given
    )
    for name, value in zip(
        ("strides", "dilation_rate", "input_size", "output_padding"),
        (strides, dilation_rate, input_size, output_padding),
        strict=True,
    ):
        if len(value) != rank:
            raise _unfit(name, value, f"one number or a tuple of {rank}")
    if output_padding == (None,) * rank:
        output_padding = None
    return Window(strides, padding, dilation_rate, data_format, input_size, output_padding)
