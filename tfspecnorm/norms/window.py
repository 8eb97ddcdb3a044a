"""How a convolution slides, and what descriptions want of their arguments."""

import dataclasses
import math
from typing import Any

from tfspecnorm._util.arguments import check_positive_integer, is_integer

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
        lists_to_tuples(self)
        check_sizes("strides", self.strides, 1)
        if not isinstance(self.padding, str) or self.padding not in _PADDINGS:
            raise unfit("padding", self.padding, f"one of {', '.join(map(repr, _PADDINGS))}")
        check_sizes("dilation_rate", self.dilation_rate, 1)
        if not isinstance(self.data_format, str) or self.data_format not in _DATA_FORMATS:
            formats = " or ".join(map(repr, _DATA_FORMATS))
            raise unfit("data_format", self.data_format, formats)
        check_sizes("input_size", self.input_size, 1, optional=True)
        if self.output_padding is not None:
            check_sizes("output_padding", self.output_padding, 0)
        rank = len(self.strides)
        for name in ("dilation_rate", "input_size", "output_padding"):
            value = getattr(self, name)
            if value is not None and len(value) != rank:
                raise unfit(name, value, f"a tuple of {rank} entries, as `strides` is")


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
    given = {
        "strides": strides,
        "dilation_rate": dilation_rate,
        "input_size": input_size,
        "output_padding": output_padding,
    }
    for name, value in given.items():
        given[name] = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
        if len(given[name]) != rank:
            raise unfit(name, given[name], f"one number or a tuple of {rank}")
    if given["output_padding"] == (None,) * rank:
        del given["output_padding"]
    return Window(padding=padding, data_format=data_format, **given)


def check_sizes(
    name: str, sizes: Any, least: int, stop: float = math.inf, optional: bool = False
) -> None:
    """A `ValueError` unless sizes are a tuple of integers from `least` on, below `stop`."""
    if isinstance(sizes, tuple) and all(
        (optional and size is None) or (is_integer(size) and least <= size < stop) for size in sizes
    ):
        return
    limit = f"{least} or larger" if stop == math.inf else f"from {least} to {stop - 1}"
    others = ", or `None`" if optional else ""
    raise unfit(name, sizes, f"a tuple of integers, each {limit}{others}")


def unfit(name: str, value: Any, wanted: str) -> ValueError:
    """The error for a description's argument that is not what is wanted."""
    return ValueError(f"Argument `{name}` must be {wanted}. Received: {name}={value!r}")


def lists_to_tuples(description: Any) -> None:
    """A description is a key of tables and functions, and lists are none."""
    for name, value in list(vars(description).items()):
        if isinstance(value, list):
            object.__setattr__(description, name, tuple(value))
