"""Samples from wherever a user has them: arrays, `tf.data`, loaders, generators."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from tfspecnorm.edge._signature import Input

# What no quantizer needs more of, and what ends a source that never ends by itself.
CALIBRATION_LIMIT = 1000


def read_samples(
    argument: str, data: Any, inputs: list[Input], limit: int | None = None
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Samples and their labels as arrays.

    Args:
        argument: Name of the caller's argument, for errors.
        data: An array or tensor; a list of them for several inputs, or a dict by their names; a
            tuple of one of these and the labels, or a list of the inputs and the labels; or what
            yields any of these in batches or one by one (a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, a data loader, a generator), or a function that returns it.
        inputs: The inputs of the model.
        limit: Number of samples after which reading stops. Defaults to none.

    Returns:
        A list with one array for each input, of the input's type, and the labels or `None`.

    Raises:
        ValueError: If there is no sample, or one does not fit.
    """
    parts, labels, count = [], [], 0
    for batch in _batches(argument, data):
        given, label = _split(batch, len(inputs))
        arrays = _fitted(argument, given, inputs)
        if label is not None:
            label = np.atleast_1d(_array(argument, label))
            if len(label) != len(arrays[0]):
                raise ValueError(
                    f"Argument `{argument}` must have one label for each sample. "
                    f"Received: {len(label)} labels for {len(arrays[0])} samples"
                )
            labels.append(label)
        parts.append(arrays)
        count += len(arrays[0])
        if limit is not None and count >= limit:
            break
    if not count:
        raise ValueError(
            f"Argument `{argument}` must hold at least one sample. Received: {argument} without one"
        )
    if labels and len(labels) != len(parts):
        raise ValueError(
            f"Argument `{argument}` must have labels for all samples or for none. "
            f"Received: labels in {len(labels)} of {len(parts)} batches"
        )
    samples = [np.concatenate(column)[:limit] for column in zip(*parts, strict=True)]
    return samples, np.concatenate(labels)[:limit] if labels else None


def _batches(argument: str, data: Any) -> Iterator[Any]:
    """The batches of a source; arrays are one batch."""
    if callable(data) and not _is_data(data) and not isinstance(data, Iterable):
        data = data()
    if isinstance(data, keras.utils.PyDataset):
        # It has no end of its own when it is iterated.
        return (data[number] for number in range(data.num_batches or 0))
    if _is_data(data):
        return iter([data])
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)):
        raise ValueError(
            f"Argument `{argument}` must be an array, a dataset, or a generator of batches. "
            f"Received: {argument}={data!r}"
        )
    iterator = iter(data)
    first = next(iterator, None)
    return iter(()) if first is None else itertools.chain([first], iterator)


def _is_data(value: Any) -> bool:
    """Whether a value is an array, or a structure of arrays."""
    if isinstance(value, dict):
        return bool(value) and all(_is_data(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_data(part) for part in value)
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _split(batch: Any, inputs: int) -> tuple[Any, Any]:
    """Inputs and labels, of what a data set yields."""
    if isinstance(batch, tuple):
        return batch[0], batch[1] if len(batch) > 1 else None
    if isinstance(batch, list) and len(batch) == inputs + 1:
        # As the data loaders of PyTorch have them.
        return batch[:-1], batch[-1]
    return batch, None


def _fitted(argument: str, given: Any, inputs: list[Input]) -> list[np.ndarray]:
    """One array for each input, with a batch axis."""
    if isinstance(given, dict):
        missing = [part.name for part in inputs if part.name not in given]
        if missing:
            raise ValueError(
                f"Argument `{argument}` must name every input of the model. "
                f"Received: {argument} with {sorted(given)}, without {missing}"
            )
        given = [given[part.name] for part in inputs]
    elif not isinstance(given, (list, tuple)) or len(inputs) == 1 and not _is_nested(given):
        given = [given]
    if len(given) != len(inputs):
        raise ValueError(
            f"Argument `{argument}` must have an array for each of the {len(inputs)} inputs of the "
            f"model. Received: {len(given)} arrays"
        )
    arrays = [_one(argument, value, part) for value, part in zip(given, inputs, strict=True)]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"Argument `{argument}` must have as many samples for each input. "
            f"Received: {[len(array) for array in arrays]} samples"
        )
    return arrays


def _is_nested(given: Any) -> bool:
    return bool(given) and all(_is_data(part) for part in given)


def _one(argument: str, value: Any, part: Input) -> np.ndarray:
    array = _array(argument, value)
    if array.shape == part.shape:
        array = array[np.newaxis]
    if array.shape[1:] != part.shape or array.ndim != len(part.shape) + 1:
        raise ValueError(
            f"Argument `{argument}` must hold samples of shape {part.shape} for input "
            f"'{part.name}'. Received: an array of shape {array.shape}"
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"Argument `{argument}` must hold finite numbers. "
            f"Received: infinite or undefined ones for input '{part.name}'"
        )
    return array.astype(part.dtype)


def _array(argument: str, value: Any) -> np.ndarray:
    try:
        array = value if isinstance(value, np.ndarray) else keras.ops.convert_to_numpy(value)
        array = np.asarray(array)
    except (TypeError, ValueError) as error:
        raise _no_numbers(argument, value) from error
    if array.dtype.kind not in "biuf":
        raise _no_numbers(argument, value)
    return array


def _no_numbers(argument: str, value: Any) -> ValueError:
    return ValueError(
        f"Argument `{argument}` must hold arrays of numbers. Received: {type(value).__name__}"
    )
