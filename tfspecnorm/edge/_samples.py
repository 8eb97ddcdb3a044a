"""Samples from wherever a user has them: arrays, `tf.data`, loaders, generators."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from tfspecnorm.edge._signature import Input

# What no quantizer needs more of.
CALIBRATION_LIMIT = 1000
# What ends a source that never ends by itself.
LIMIT = 100_000


def read_samples(
    argument: str, data: Any, inputs: list[Input], limit: int = LIMIT
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Samples and their labels as arrays.

    Args:
        argument: Name of the caller's argument, for errors.
        data: An array or tensor; a list of them for several inputs, or a dict by their names; a
            tuple of one of these and the labels; or what yields any of these in batches or one by
            one (a `tf.data.Dataset`, a `keras.utils.PyDataset`, a data loader, whose lists end in
            labels, a generator, a list), or a function that returns it.
        inputs: The inputs of the model.
        limit: Number of samples after which reading stops.

    Returns:
        A list with one array for each input, of the input's type, and the labels or `None`.

    Raises:
        ValueError: If there is no sample, or one does not fit.
    """
    parts, labels, count = [], [], 0
    for batch in _batches(argument, data, len(inputs)):
        given, label = _split(batch)
        arrays, single = _fitted(argument, given, inputs)
        if label is not None:
            labels.append(_labels(argument, label, single, len(arrays[0])))
        parts.append(arrays)
        count += len(arrays[0])
        if count >= limit:
            break
    if not count:
        raise ValueError(
            f"Argument `{argument}` must hold at least one sample. Received: {argument} without one"
        )
    if labels and (len(labels) != len(parts) or len({part.shape[1:] for part in labels}) > 1):
        raise ValueError(
            f"Argument `{argument}` must have labels of one form for all samples, or for none. "
            f"Received: labels of shapes {sorted({part.shape[1:] for part in labels})} in "
            f"{len(labels)} of {len(parts)} batches"
        )
    samples = [np.concatenate(column)[:limit] for column in zip(*parts, strict=True)]
    return samples, np.concatenate(labels)[:limit] if labels else None


def _batches(argument: str, data: Any, inputs: int) -> Iterator[Any]:
    """The batches of a source; arrays are one batch."""
    if callable(data) and not _is_data(data) and not isinstance(data, Iterable):
        data = data()
    if isinstance(data, keras.utils.PyDataset):
        # It has no end of its own when it is iterated.
        batches = data.num_batches
        numbers = itertools.count() if batches is None else range(batches)
        return (_as_labeled(data[number], inputs) for number in numbers)
    one = isinstance(data, tuple) or _is_data(data)
    if isinstance(data, list) and inputs == 1 and len(data) > 1:
        one = False
    if one:
        return iter([data])
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)):
        raise ValueError(
            f"Argument `{argument}` must be an array, a dataset, or a generator of batches. "
            f"Received: {argument}={data!r}"
        )
    return (_as_labeled(batch, inputs) for batch in data)


def _as_labeled(batch: Any, inputs: int) -> Any:
    """A batch that a data loader of PyTorch yields, a list that ends in the labels, as a tuple."""
    if isinstance(batch, list) and len(batch) == inputs + 1:
        return batch[:-1], batch[-1]
    return batch


def _is_data(value: Any) -> bool:
    """Whether a value is an array, or a structure of arrays."""
    if isinstance(value, dict):
        return bool(value) and all(_is_data(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_data(part) for part in value)
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _split(batch: Any) -> tuple[Any, Any]:
    """Inputs and labels, of what a data set yields."""
    if isinstance(batch, tuple) and batch:
        return batch[0], batch[1] if len(batch) > 1 else None
    return batch, None


def _labels(argument: str, given: Any, single: bool, count: int) -> np.ndarray:
    """The labels of a batch; those of a sample without a batch axis get one too."""
    labels = _array(argument, given)
    labels = labels[np.newaxis] if single else np.atleast_1d(labels)
    if len(labels) != count:
        raise ValueError(
            f"Argument `{argument}` must have one label for each sample. "
            f"Received: {len(labels)} labels for {count} samples"
        )
    return labels


def _fitted(argument: str, given: Any, inputs: list[Input]) -> tuple[list[np.ndarray], bool]:
    """One array for each input, with a batch axis, and whether it had none."""
    if isinstance(given, dict):
        missing = [part.name for part in inputs if part.name not in given]
        if missing:
            raise ValueError(
                f"Argument `{argument}` must name every input of the model. "
                f"Received: {argument} with {sorted(given)}, without {missing}"
            )
        given = [given[part.name] for part in inputs]
    elif not isinstance(given, (list, tuple)) or (len(inputs) == 1 and not _is_data(given)):
        given = [given]
    if len(given) != len(inputs):
        raise ValueError(
            f"Argument `{argument}` must have an array for each of the {len(inputs)} inputs of the "
            f"model. Received: {len(given)} arrays"
        )
    arrays = [_array(argument, value) for value in given]
    single = all(array.shape == part.shape for array, part in zip(arrays, inputs, strict=True))
    if single:
        arrays = [array[np.newaxis] for array in arrays]
    arrays = [_one(argument, array, part) for array, part in zip(arrays, inputs, strict=True)]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"Argument `{argument}` must have as many samples for each input. "
            f"Received: {[len(array) for array in arrays]} samples"
        )
    return arrays, single


def _one(argument: str, array: np.ndarray, part: Input) -> np.ndarray:
    """An array in the type of the input, if it fits."""
    if array.shape[1:] != part.shape or array.ndim != len(part.shape) + 1:
        raise ValueError(
            f"Argument `{argument}` must hold samples of shape {part.shape} for input "
            f"'{part.name}'. Received: an array of shape {array.shape}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        found = array.astype(part.dtype)
    if not np.all(np.isfinite(found)):
        raise ValueError(
            f"Argument `{argument}` must hold finite numbers. "
            f"Received: infinite or undefined ones for input '{part.name}'"
        )
    if found.dtype.kind in "biu" and not np.array_equal(found, array):
        raise ValueError(
            f"Argument `{argument}` must hold numbers of type {part.dtype} for input "
            f"'{part.name}'. Received: others, of type {array.dtype}"
        )
    return found


def _array(argument: str, value: Any) -> np.ndarray:
    try:
        array = value if hasattr(value, "dtype") else np.asarray(value)
        array = array if isinstance(array, np.ndarray) else keras.ops.convert_to_numpy(array)
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
