"""Operations of `keras.ops` for PyTorch, without what Keras does around them.

Names, arguments and results are those of Keras, for tensors and arrays; a result may have another
integer type. Here are the operations that steps are made of; any other name is that of Keras.

Those of Keras move each tensor to the device that it has as the current one. Here that is for
`convert_to_tensor` alone to do, with which a formula begins.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import torch

_name = functools.cache(keras.backend.standardize_dtype)


def __getattr__(name: str) -> Any:
    return getattr(keras.ops, name)


def _tensor(x: Any) -> torch.Tensor:
    return x if isinstance(x, torch.Tensor) else keras.ops.convert_to_tensor(x)


def _number_or_tensor(x: Any) -> Any:
    return x if isinstance(x, (float, int)) else _tensor(x)


def _of_one(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda x: function(_tensor(x))


abs = _of_one(torch.abs)
copy = _of_one(torch.clone)
logical_not = _of_one(torch.logical_not)
reciprocal = _of_one(torch.reciprocal)
rsqrt = _of_one(torch.rsqrt)
sqrt = _of_one(torch.sqrt)
square = _of_one(torch.square)
stop_gradient = _of_one(torch.detach)
zeros_like = _of_one(torch.zeros_like)


def cast(x: Any, dtype: Any) -> torch.Tensor:
    if isinstance(x, torch.Tensor) and _name(x.dtype) == _name(dtype):
        return x
    return keras.ops.cast(x, dtype)


def concatenate(xs: Sequence[Any], axis: int = 0) -> torch.Tensor:
    return torch.cat([_tensor(x) for x in xs], axis)


def equal(x1: Any, x2: Any) -> torch.Tensor:
    return torch.eq(_tensor(x1), _tensor(x2))


def expand_dims(x: Any, axis: int) -> torch.Tensor:
    return torch.unsqueeze(_tensor(x), axis)


def matmul(x1: Any, x2: Any) -> torch.Tensor:
    x1, x2 = _tensor(x1), _tensor(x2)
    if x1.dtype != x2.dtype:
        # That of Keras has 32 bits at most.
        dtype = torch.promote_types(x1.dtype, x2.dtype)
        x1, x2 = x1.to(dtype), x2.to(dtype)
    return torch.matmul(x1, x2)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return torch.amax(_tensor(x), () if axis is None else axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return torch.amin(_tensor(x), () if axis is None else axis, keepdims)


def reshape(x: Any, newshape: int | Sequence[int]) -> torch.Tensor:
    shape = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    return torch.reshape(_tensor(x), shape)


def segment_max(data: Any, segment_ids: Any, num_segments: int) -> torch.Tensor:
    return _reduced(data, segment_ids, num_segments, "amax")


def segment_sum(data: Any, segment_ids: Any, num_segments: int) -> torch.Tensor:
    return _reduced(data, segment_ids, num_segments, "sum")


def split(x: Any, indices: list[int], axis: int = 0) -> tuple[torch.Tensor, ...]:
    return torch.tensor_split(_tensor(x), indices, axis)


def squeeze(x: Any, axis: int | tuple[int, ...]) -> torch.Tensor:
    return torch.squeeze(_tensor(x), axis)


def stack(xs: Sequence[Any], axis: int = 0) -> torch.Tensor:
    return torch.stack([_tensor(x) for x in xs], axis)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return torch.sum(_tensor(x), axis, keepdims)


def take(x: Any, indices: Any, axis: int) -> torch.Tensor:
    places = _tensor(indices)
    if places.ndim != 1:
        return keras.ops.take(x, indices, axis)
    return torch.index_select(_tensor(x), axis, places)


def top_k(x: Any, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.topk(_tensor(x), k)


def transpose(x: Any, axes: Sequence[int]) -> torch.Tensor:
    return torch.permute(_tensor(x), tuple(axes))


def where(condition: Any, x1: Any, x2: Any) -> torch.Tensor:
    return torch.where(_tensor(condition), _number_or_tensor(x1), _number_or_tensor(x2))


def _reduced(vector: Any, owners: Any, count: int, kind: str) -> torch.Tensor:
    # Those of Keras compute in 32 bits.
    vector = _tensor(vector)
    start = torch.zeros(count, dtype=vector.dtype, device=vector.device)
    return start.scatter_reduce(0, _tensor(owners).long(), vector, kind, include_self=False)


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `operations.uncompiled`."""

    def run(tensors: list[torch.Tensor], _: list[torch.Tensor]) -> list[torch.Tensor]:
        return [part.contiguous() for part in function(*tensors)]

    operation = torch.library.custom_op(
        "tfspecnorm::" + f"{function.__module__}.{function.__name__}".replace(".", "_"),
        run,
        mutates_args=(),
        schema="(Tensor[] tensors, Tensor[] like) -> Tensor[]",
    )
    operation.register_fake(lambda _, like: [torch.empty_like(part) for part in like])

    @functools.wraps(function)
    def call(*tensors: torch.Tensor, shapes: Sequence[tuple[int, ...]]) -> Any:
        if not torch.compiler.is_compiling():
            return function(*tensors)
        return tuple(operation(list(tensors), [tensors[0].new_empty(shape) for shape in shapes]))

    return call


def kept(table: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """The tensor of a table, made once for each device: not one that is traced for an export."""
    if torch.compiler.is_compiling() or type(like) not in (torch.Tensor, torch.nn.Parameter):
        return torch.as_tensor(table, device=like.device)
    return _on_device(_Table(table), like.device)


class _Table:
    """An array as a key: by its identity."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Table) and self.array is other.array

    def __hash__(self) -> int:
        return id(self.array)


@functools.lru_cache(maxsize=1024)
def _on_device(table: _Table, device: torch.device) -> torch.Tensor:
    # A tensor of the inference mode could not take part in training later.
    with torch.inference_mode(False):
        return torch.as_tensor(table.array, device=device)
