"""What a model takes and gives: shapes and types that are all known."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import tree

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a model.

    Args:
        name: Its name.
        shape: Shape of one sample.
        dtype: Name of the type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def fill(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Samples without meaning: Gaussian, or zeros and ones for integers."""
        shape = (count, *self.shape)
        if np.issubdtype(np.dtype(self.dtype), np.floating):
            return random.standard_normal(shape).astype(self.dtype)
        return random.integers(0, 2, shape).astype(self.dtype)


def inputs_of(model: keras.Model, input_shape: Any = None) -> list[Input]:
    """The inputs of a model in the order in which it takes them.

    Args:
        model: Sequential or Functional model.
        input_shape: Shape of one sample, for a model with one input of which a size is not fixed.

    Raises:
        ValueError: If there are no symbolic inputs, a size is unknown, or the shape does not fit.
    """
    tensors = tree.flatten(getattr(model, "inputs", None) or [])
    if not tensors:
        raise ValueError(
            "Argument `model` must be a Sequential or Functional model, whose inputs are known; "
            "make it one: `keras.Model(inputs, model(inputs))`. "
            f"Received: model '{model.name}' of class {type(model).__name__}"
        )
    shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
    if input_shape is not None:
        shapes = [_checked(input_shape, shapes)]
    for tensor, shape in zip(tensors, shapes, strict=True):
        if None in shape:
            raise ValueError(
                "Argument `input_shape` must be given for a model that takes inputs of any size: "
                "a file for a device has one size. "
                f"Received: input_shape=None with input '{tensor.name}' of shape {shape}"
            )
    return [
        Input(tensor.name, shape, keras.backend.standardize_dtype(tensor.dtype))
        for tensor, shape in zip(tensors, shapes, strict=True)
    ]


def _checked(input_shape: Any, shapes: list[tuple[int | None, ...]]) -> tuple[int, ...]:
    try:
        shape = tuple(int(size) for size in input_shape)
    except (TypeError, ValueError):
        shape = ()
    if (
        len(shapes) != 1
        or len(shape) != len(shapes[0])
        or any(size < 1 for size in shape)
        or any(known not in (None, size) for size, known in zip(shape, shapes[0], strict=True))
    ):
        raise ValueError(
            f"Argument `input_shape` must be a shape of one sample that fits {shapes}. "
            f"Received: input_shape={input_shape!r}"
        )
    return shape


def call(model: keras.Model, arrays: list[Any]) -> list[Any]:
    """The outputs of a model in evaluation, as a list, for a list of its inputs."""
    structure = model.input if len(arrays) > 1 else 0
    inputs = tree.pack_sequence_as(structure, list(arrays))
    return tree.flatten(model(inputs, training=False))


def predict(model: keras.Model, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same for many samples, in batches.

    Layer by layer, not as one graph: what a compiler makes of that is not what the layers say
    where it fuses them wrongly, as TensorFlow does on CPUs with a convolution, its bias, a sum and
    a leaky ReLU.
    """
    rows = []
    for start in range(0, len(arrays[0]), _BATCH):
        batch = [keras.ops.convert_to_tensor(array[start : start + _BATCH]) for array in arrays]
        rows.append([keras.ops.convert_to_numpy(part) for part in call(model, batch)])
    return [np.concatenate(column).astype("float32") for column in zip(*rows, strict=True)]
