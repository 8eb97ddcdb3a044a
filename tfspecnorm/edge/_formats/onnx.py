"""ONNX, by the converters that Keras uses, and checked by onnxruntime."""

import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.differences import exports_open_sizes
from tfspecnorm._util.optional import optional
from tfspecnorm.edge._formats.format import Arrays, Format, Opened, counted
from tfspecnorm.edge._signature import Input, for_inference, packed, predict
from tfspecnorm.edge.report import TensorInfo

_EXTRA = "onnx"
_RUNNING = (("onnx", _EXTRA), ("onnxruntime", _EXTRA))


def _write(model: keras.Model, inputs: list[Input], path: Path) -> None:
    model = for_inference(model, inputs)
    # Keras exports what was called once.
    predict(model, [np.zeros((1, *part.shape), part.dtype) for part in inputs])
    batch = None if exports_open_sizes() else 1
    specs = [
        keras.InputSpec(shape=(batch, *part.shape), dtype=part.dtype, name=part.identifier)
        for part in inputs
    ]
    with warnings.catch_warnings():
        # Those of the converters, about names of NumPy and of PyTorch.
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False, input_signature=[packed(model, specs)])


def _open(path: Path, inputs: list[Input], threads: int) -> Opened:
    runtime = optional("onnxruntime", _EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(os.fspath(path), options, ["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]
    if len(names) != len(inputs):
        raise ValueError(
            "Argument `model` must have no constants besides its weights for the format ONNX, such "
            "as those of an adapted Normalization: the converter makes inputs of them. "
            f"Received: a model of which ONNX has the inputs {names}"
        )
    places = [part.identifier for part in inputs]
    order = [places.index(name) if name in places else place for place, name in enumerate(names)]

    def run(samples: Arrays) -> Arrays:
        rows = [
            session.run(
                None,
                {
                    name: samples[place][number : number + 1]
                    for name, place in zip(names, order, strict=True)
                },
            )
            for number in range(len(samples[0]))
        ]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    return Opened(
        run,
        counted(node.op_type for node in optional("onnx", _EXTRA).load(os.fspath(path)).graph.node),
        tuple(map(_info, session.get_inputs())),
        tuple(map(_info, session.get_outputs())),
    )


def _info(part: Any) -> TensorInfo:
    """What onnxruntime says of an input or output; an open size has a name there."""
    shape = tuple(size if isinstance(size, int) else None for size in part.shape)
    kind = part.type[len("tensor(") : -1]
    return TensorInfo(part.name, shape, {"float": "float32", "double": "float64"}.get(kind, kind))


FORMAT = Format(
    "ONNX",
    ("tensorflow", "torch"),
    {"tensorflow": (*_RUNNING, ("tf2onnx", _EXTRA)), "torch": (*_RUNNING, ("onnxscript", _EXTRA))},
    _write,
    _open,
)
