"""Reads the variables of a file of Keras 2, layer by layer.

The older `.h5` names variables and has them in order. A `.keras` file has them in order without
names, a checkpoint has names without an order.
"""

import io
import os
import re
import zipfile

import keras
import numpy as np

from tfspecnorm.migration._hdf5 import from_hdf5
from tfspecnorm.migration._stored import Stored, another_kind, different_layers, leaves


def read(path: str, model: keras.Model) -> list[tuple[keras.layers.Layer, Stored]]:
    """Each layer of the model that has weights, with its variables in the file."""
    import h5py

    if os.path.isfile(f"{path}.index"):
        return _from_checkpoint(path, model)
    if not os.path.isfile(path):
        raise ValueError(
            "Argument `path` must be the path of a file, or the prefix that the files of a "
            f"checkpoint share. Received: path={path!r}, where there is none"
        )
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return from_hdf5(path, file, model)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(content, "r") as file:
                return from_hdf5(path, file, model)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise another_kind(path, f"which cannot be read: {error}") from error
    raise another_kind(path, "of no known format")


_CHECKPOINT_KEY = re.compile(r"((?:layer_with_weights-\d+/)+)([^.]+)/\.ATTRIBUTES/VARIABLE_VALUE")


def _from_checkpoint(path: str, model: keras.Model) -> list[tuple[keras.layers.Layer, Stored]]:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "A checkpoint of TensorFlow is read by TensorFlow: install it, or save the weights as "
            f"`.h5`. Received: path={path!r}"
        ) from error
    try:
        reader = tf.train.load_checkpoint(path)
        keys = sorted(reader.get_variable_to_shape_map())
    except (ValueError, tf.errors.OpError) as error:
        raise another_kind(path, f"which cannot be read: {error}") from error
    parts: dict[tuple[int, ...], dict[str, np.ndarray]] = {}
    for key in keys:
        match = _CHECKPOINT_KEY.fullmatch(key)
        if match:
            position = tuple(int(number) for number in re.findall(r"-(\d+)/", match[1]))
            parts.setdefault(position, {})[match[2]] = reader.get_tensor(key)
    if not parts:
        raise another_kind(path, "a checkpoint without layers of a Sequential or Functional model")
    layers = list(leaves(model))
    names = ["/".join(f"layer_with_weights-{n}" for n in position) for position in sorted(parts)]
    if len(layers) != len(parts):
        raise different_layers(path, [layer.name for layer in layers], names)
    return [
        (layer, _unordered(name, parts[position]))
        for layer, name, position in zip(layers, names, sorted(parts), strict=True)
    ]


def _unordered(name: str, variables: dict[str, np.ndarray]) -> Stored:
    kept = {key: part for key, part in variables.items() if "_naked_clone_layer" not in key}
    named = [(key.split("/")[-1], value) for key, value in kept.items()]
    return Stored(name, named, False, len(kept) < len(variables))
