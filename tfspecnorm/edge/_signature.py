"""What a model takes and gives: shapes and types that are all known."""

import dataclasses
import re
from typing import Any

import keras
import numpy as np
from keras import tree

from tfspecnorm.surgery.graph import input_layers

# Where a caller gives none.
RANDOM_SAMPLES = 32
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

    @property
    def identifier(self) -> str:
        """The name as formats of files take it."""
        return re.sub(r"[^\w.-]", "_", self.name, flags=re.ASCII)

    def fill(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Samples without meaning: Gaussian, or zeros and ones for integers."""
        shape = (count, *self.shape)
        if np.issubdtype(np.dtype(self.dtype), np.floating):
            return random.standard_normal(shape).astype(self.dtype)
        return random.integers(0, 2, shape).astype(self.dtype)


def functional(model: keras.Model, input_shape: Any = None) -> keras.Model:
    """A Functional model around one of a class of its own, or the model itself.

    Its input is the one that the model was built for, of floating numbers.

    Args:
        model: Built model.
        input_shape: Shape of one sample, or `None` for that of the model.

    Raises:
        ValueError: If the model takes several inputs, or it is not known which.
    """
    if getattr(model, "inputs", None):
        return model
    shape = (model.get_build_config() or {}).get("input_shape")
    is_shape = isinstance(shape, (list, tuple)) and all(
        size is None or isinstance(size, int) for size in shape
    )
    if not is_shape and input_shape is None:
        raise ValueError(
            "Argument `model` must be a Sequential or Functional model, or a model of one input "
            "that it was built for; make it one: `keras.Model(inputs, model(inputs))`. "
            f"Received: model '{model.name}' of class {type(model).__name__}"
        )
    known = [tuple(shape[1:])] if is_shape else [(None,) * len(tuple(input_shape))]
    given = known[0] if input_shape is None else _checked(input_shape, known)
    inputs = keras.Input(given, name="input")
    return keras.Model(inputs, model(inputs), name=model.name)


def inputs_of(model: keras.Model, input_shape: Any = None) -> list[Input]:
    """The inputs of a model in the order in which it takes them.

    Args:
        model: Sequential or Functional model.
        input_shape: Shape of one sample, for a model with one input of which a size is not fixed.

    Raises:
        ValueError: If one is of text or of batches of a fixed size, a
            size is unknown, or the shape does not fit.
    """
    tensors = tree.flatten(model.inputs)
    for tensor in tensors:
        if tensor.dtype == "string" or tensor.shape[0] not in (None, 1):
            raise ValueError(
                "Argument `model` must take numbers, in batches of any size or of one sample. "
                f"Received: model '{model.name}' with an input of shape {tuple(tensor.shape)} and "
                f"type {tensor.dtype}"
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
        # A file keeps the names of the input layers; a tensor's may be another.
        Input(layer.name, shape, keras.backend.standardize_dtype(tensor.dtype))
        for layer, tensor, shape in zip(input_layers(model), tensors, shapes, strict=True)
    ]


def _checked(input_shape: Any, shapes: list[tuple[int | None, ...]]) -> tuple[int, ...]:
    try:
        shape = () if isinstance(input_shape, str) else tuple(int(size) for size in input_shape)
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
    return tree.flatten(model(packed(model, arrays), training=False))


def packed(model: keras.Model, parts: list[Any]) -> Any:
    """One part for each input, in the structure that the model takes."""
    return tree.pack_sequence_as(model.input, parts) if len(parts) > 1 else parts[0]


def predict(model: keras.Model, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same for many samples, in batches.

    Layer by layer, not as one graph: what a compiler makes of that is not what the layers say
    where it fuses them wrongly, as TensorFlow does on CPUs with a convolution, its bias, a sum and
    a leaky ReLU.
    """
    step = 1 if tree.flatten(model.inputs)[0].shape[0] == 1 else _BATCH
    rows = []
    for start in range(0, len(arrays[0]), step):
        batch = [keras.ops.convert_to_tensor(array[start : start + step]) for array in arrays]
        rows.append([keras.ops.convert_to_numpy(part) for part in call(model, batch)])
    return [np.concatenate(column).astype("float32") for column in zip(*rows, strict=True)]


def for_inference(model: keras.Model, inputs: list[Input]) -> keras.Model:
    """A model around this one that runs it in evaluation, whatever an exporter asks of it.

    Layers of augmentation are active unless they are told that it is no training.
    """
    given = [
        keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=part.identifier)
        for tensor, part in zip(tree.flatten(model.inputs), inputs, strict=True)
    ]
    structure = packed(model, given)
    outputs = model(structure, training=False)
    # Keras takes dicts only by the names of their tensors.
    return keras.Model(given if isinstance(structure, dict) else structure, outputs)
