"""A plain Keras model as the bytes of a LiteRT file."""

import re
import warnings
from typing import Any

import keras
import numpy as np

from tfspecnorm.edge._schema import contents_of
from tfspecnorm.edge._signature import Input, call

QUANTIZATIONS = (None, "float16", "dynamic", "int8")


def to_litert(
    model: keras.Model,
    inputs: list[Input],
    quantize: str | None = None,
    samples: list[np.ndarray] | None = None,
) -> bytes:
    """The bytes of a LiteRT file that takes one sample at a time.

    A fixed batch of one leaves the layers' own operators only: with a batch of any size the
    file computes shapes at run time, by more operators.

    Args:
        model: Model of plain layers, on TensorFlow.
        inputs: Its inputs.
        quantize: One of `QUANTIZATIONS`.
        samples: Calibration samples of `"int8"`, one array for each input.

    Raises:
        ValueError: If the model needs an operator that LiteRT has not, or not in int8, or has a
            loop and is to be int8.
    """
    import tensorflow as tf

    function = tf.function(lambda *arrays: call(model, list(arrays)))
    concrete = function.get_concrete_function(
        *(tf.TensorSpec((1, *part.shape), part.dtype, name=part.identifier) for part in inputs)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function)
    if quantize == "int8":
        _check_without_loops(model, _converted(converter, model, None))
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantize == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: (
            [array[number : number + 1] for array in samples] for number in range(len(samples[0]))
        )
    return _converted(converter, model, quantize)


def _converted(converter: Any, model: keras.Model, quantize: str | None) -> bytes:
    try:
        with warnings.catch_warnings():
            # The converter asks for statistics that the calibration is about to make.
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            return converter.convert()
    except Exception as error:
        # The converter has several classes of errors, none of them public.
        raise ValueError(
            "Argument `model` must consist of operators that LiteRT has"
            f"{' in int8' if quantize == 'int8' else ''}. "
            f"Received: model '{model.name}', for which its converter says: {_reason(error)}"
        ) from error


def _check_without_loops(model: keras.Model, data: bytes) -> None:
    """Raise a `ValueError` for a loop: the calibration of one ends the whole process."""
    if "WHILE" in contents_of(data).operators:
        raise ValueError(
            'Argument `quantize` must be another than "int8" for a model with a loop; recurrent '
            "layers have none if they are made with `unroll=True`. "
            f"Received: quantize='int8' with model '{model.name}'"
        )


def _reason(error: Any) -> str:
    """What the converter misses, in a few words."""
    text = str(error)
    found = re.findall(r"(?:TF Select|Custom) ops?: ([\w, ]+)", text)
    if found:
        return f"no operator for {', '.join(found)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
