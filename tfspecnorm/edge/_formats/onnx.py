"""ONNX, by the converters that Keras uses, and checked by onnxruntime."""

import os
import warnings
from pathlib import Path

import keras
import numpy as np

from tfspecnorm._optional import optional
from tfspecnorm.edge._formats.format import (
    Arrays,
    Format,
    Opened,
    counted,
    input_infos,
    signature,
)
from tfspecnorm.edge._signature import Input, predict
from tfspecnorm.edge.report import TensorInfo

_EXTRA = "onnx"
_RUNNING = (("onnx", _EXTRA), ("onnxruntime", _EXTRA))


def _write(model: keras.Model, inputs: list[Input], path: Path) -> None:
    # Keras exports what was called once.
    predict(model, [np.zeros((1, *part.shape), part.dtype) for part in inputs])
    # PyTorch's converter knows no sizes that are open.
    batch = 1 if keras.backend.backend() == "torch" else None
    with warnings.catch_warnings():
        # Those of the converters, about names of NumPy and of PyTorch.
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False, input_signature=signature(inputs, batch))


def _open(path: Path, inputs: list[Input], threads: int) -> Opened:
    runtime = optional("onnxruntime", _EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(os.fspath(path), options, ["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]
    places = [part.name for part in inputs]
    order = (
        [places.index(name) for name in names] if set(names) == set(places) else range(len(names))
    )

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
        input_infos(inputs),
        tuple(
            TensorInfo(part.name, tuple(part.shape), part.type[len("tensor(") : -1])
            for part in session.get_outputs()
        ),
    )


FORMAT = Format(
    "ONNX",
    ("tensorflow", "torch"),
    {"tensorflow": (*_RUNNING, ("tf2onnx", _EXTRA)), "torch": (*_RUNNING, ("onnxscript", _EXTRA))},
    _write,
    _open,
)
