"""Export to a LiteRT file, and running that file as a device would."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import track

from common.quiet import native_log_hidden

WARM_UP_RUNS = 5


def export_litert(model: keras.Model, path: Path) -> None:
    """Writes a model as a LiteRT float32 file that takes one image at a time.

    A fixed batch of one leaves the layers' own operators only: with a batch of any size the
    file computes shapes at run time, by four more.

    Args:
        model: A model of plain Keras layers with one input and one output.
        path: File to write, with the ending `.tflite`.
    """
    signature = [
        keras.InputSpec(shape=(1, *tensor.shape[1:]), dtype=tensor.dtype) for tensor in model.inputs
    ]
    with native_log_hidden():
        model.export(path, format="litert", verbose=False, input_signature=signature)


def run_litert(path: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs a LiteRT file on images, one by one, in one thread.

    Args:
        path: The file.
        images: `float32` array of shape `(count, height, width, channels)`.

    Returns:
        Array of outputs, one row for each image, and array of the seconds that each took.
    """
    interpreter = _interpreter(path)
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def infer(image: np.ndarray) -> tuple[np.ndarray, float]:
        interpreter.set_tensor(source, image[np.newaxis])
        start = time.perf_counter()
        interpreter.invoke()
        seconds = time.perf_counter() - start
        return interpreter.get_tensor(target)[0], seconds

    for image in images[:WARM_UP_RUNS]:
        infer(image)
    outputs, seconds = zip(*(infer(image) for image in track(images, "LiteRT")), strict=True)
    return np.stack(outputs), np.array(seconds)


def _interpreter(path: Path) -> Any:
    with native_log_hidden():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    return interpreter
