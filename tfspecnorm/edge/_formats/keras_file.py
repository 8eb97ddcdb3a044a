"""Keras' own file, of plain layers: it loads without this package, on every backend."""

from pathlib import Path

import keras
from keras import tree

from tfspecnorm.edge._formats.format import Format, Opened, counted, tensor_infos
from tfspecnorm.edge._signature import Input, predict


def _write(model: keras.Model, inputs: list[Input], path: Path) -> None:
    model.save(path)


def _open(path: Path, inputs: list[Input], threads: int) -> Opened:
    model = keras.saving.load_model(path, compile=False)
    return Opened(
        lambda samples: predict(model, samples),
        counted(
            type(layer).__name__
            for layer in model.layers
            if not isinstance(layer, keras.layers.InputLayer)
        ),
        tensor_infos(tree.flatten(model.inputs), [part.name for part in inputs]),
        tensor_infos(tree.flatten(model.outputs)),
    )


FORMAT = Format("Keras", ("tensorflow", "jax", "torch"), {}, _write, _open)
