"""The SavedModel of TensorFlow, a folder, for TensorFlow Serving and other converters."""

import re
from pathlib import Path
from typing import Any

import keras

from tfspecnorm.edge._formats.format import Arrays, Format, Opened, counted, tensor_infos
from tfspecnorm.edge._signature import Input, for_inference


def _write(model: keras.Model, inputs: list[Input], path: Path) -> None:
    for_inference(model, inputs).export(path, format="tf_saved_model", verbose=False)


def _open(path: Path, inputs: list[Input], threads: int) -> Opened:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    function = loaded.signatures["serving_default"]
    names = [part.identifier for part in inputs]
    given = function.structured_input_signature[1]
    made = _in_order(function.structured_outputs)

    def run(samples: Arrays) -> Arrays:
        # The variables live as long as `loaded` does.
        assert loaded is not None
        arrays = {name: tf.constant(array) for name, array in zip(names, samples, strict=True)}
        outputs = function(**arrays)
        return [outputs[name].numpy().astype("float32") for name in made]

    return Opened(
        run,
        counted(_operators(function)),
        tensor_infos([given[name] for name in names], names),
        tensor_infos([function.structured_outputs[name] for name in made], made),
    )


def _in_order(outputs: dict[str, Any]) -> list[str]:
    """Names of the outputs in the order of the model: their own, or that of a dict's keys."""
    numbered = all(re.fullmatch(r"output_\d+", name) for name in outputs)
    return sorted(outputs, key=lambda name: int(name[len("output_") :]) if numbered else name)


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


FORMAT = Format("SavedModel", ("tensorflow",), {}, _write, _open, is_folder=True)
