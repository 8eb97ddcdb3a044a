"""The SavedModel of TensorFlow, a folder, for TensorFlow Serving and other converters."""

from pathlib import Path
from typing import Any

import keras

from tfspecnorm.edge._formats.format import (
    Arrays,
    Format,
    Opened,
    counted,
    input_infos,
)
from tfspecnorm.edge._signature import Input
from tfspecnorm.edge.report import TensorInfo


def _write(model: keras.Model, inputs: list[Input], path: Path) -> None:
    model.export(path, format="tf_saved_model", verbose=False)


def _open(path: Path, inputs: list[Input], threads: int) -> Opened:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    function = loaded.signatures["serving_default"]
    made = sorted(function.structured_outputs.items(), key=lambda item: _place(item[0]))

    def run(samples: Arrays) -> Arrays:
        # The variables live as long as `loaded` does.
        assert loaded is not None
        given = {part.name: tf.constant(array) for part, array in zip(inputs, samples, strict=True)}
        outputs = function(**given)
        return [outputs[name].numpy().astype("float32") for name, _ in made]

    return Opened(
        run,
        counted(_operators(function)),
        input_infos(inputs),
        tuple(TensorInfo(name, tuple(part.shape), part.dtype.name) for name, part in made),
    )


def _operators(function: Any) -> list[str]:
    """Names of the operators that one call runs, in the functions that it calls."""
    graph = function.graph.as_graph_def()
    bodies = {body.signature.name: body.node_def for body in graph.library.function}
    found, waiting = [], [graph.node]
    while waiting:
        for node in waiting.pop():
            called = [value.func.name for value in node.attr.values() if value.func.name]
            waiting += [bodies[name] for name in called if name in bodies]
            if not called:
                found.append(node.op)
    return found


def _place(name: str) -> tuple[int, str]:
    """Order of names that end in their number."""
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else 0), name


FORMAT = Format("SavedModel", ("tensorflow",), {}, _write, _open, is_folder=True)
