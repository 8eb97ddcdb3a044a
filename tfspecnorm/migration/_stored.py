"""What a file of Keras 2 holds for one layer, and what is wrong with a file."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfspecnorm.kernels.containers import is_graph


@dataclasses.dataclass(frozen=True)
class Stored:
    """The variables of one layer in a file.

    Args:
        name: Name of the layer in the file.
        variables: Pairs of a variable's name and its value.
        ordered: Whether the variables stand in the order of the layer's weights.
        data_init: Whether weight normalization was to take its gain from the first batch.
    """

    name: str
    variables: list[tuple[str, np.ndarray]]
    ordered: bool = True
    data_init: bool = False


def another_kind(path: str, found: str) -> ValueError:
    return ValueError(
        "Argument `path` must be a file that Keras 2 wrote: weights or a whole model as `.h5`, a "
        "`.keras` file of TensorFlow 2.15, or a checkpoint made by `save_weights`. "
        f"Received: path={path!r}, {found}"
    )


def different_layers(path: str, wanted: list[str], found: list[str]) -> ValueError:
    return ValueError(
        "Argument `model` must have as many layers with weights as the file, in the same order. "
        f"Received: model with {len(wanted)} ({', '.join(wanted)}) and path={path!r} with "
        f"{len(found)} ({', '.join(found)})"
    )


def leaves(model: Any) -> Iterator[keras.layers.Layer]:
    """The layers with weights, those of models in the model among them, in order."""
    for layer in weighted(model):
        if is_graph(layer):
            yield from leaves(layer)
        else:
            yield layer


def weighted(model: Any) -> list[Any]:
    return [layer for layer in model.layers if layer.weights]


def normalized_name(layer: Any) -> str:
    """The variable of a layer that tensorflow-addons normalizes."""
    names = [variable.name for variable in layer.weights]
    return next(
        (name for name in ("recurrent_kernel", "kernel", "embeddings") if name in names), names[0]
    )
