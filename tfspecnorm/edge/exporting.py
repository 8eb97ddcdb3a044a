"""A trained model as a plain file for a device, compared with the model it came from."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfspecnorm._util import files as _files
from tfspecnorm._util.arguments import (
    check_boolean,
    check_model,
    check_optional_boolean,
    check_seed,
)
from tfspecnorm.edge._comparison import classes_of
from tfspecnorm.edge._conversion import QUANTIZATIONS
from tfspecnorm.edge._formats import Format, format_of
from tfspecnorm.edge._measuring import check_measuring, compared, measured
from tfspecnorm.edge._micro import check_installed, is_installed
from tfspecnorm.edge._samples import CALIBRATION_LIMIT, read_samples
from tfspecnorm.edge._signature import RANDOM_SAMPLES, Input, functional, inputs_of, predict
from tfspecnorm.edge.report import EdgeReport
from tfspecnorm.surgery import in_float32
from tfspecnorm.surgery.folding import folded_for_inference


def export(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str | None = None,
    calibration: Any = None,
    evaluation: Any = None,
    batch_norm: bool = True,
    input_shape: Any = None,
    micro: bool | None = None,
    runs: int = 50,
    threads: int = 1,
    seed: int = 0,
) -> EdgeReport:
    """Folds a model, writes it as a plain file, and runs that file against the model.

    | ending of `path` | format     | on backends                | extra          |
    | ---------------- | ---------- | -------------------------- | -------------- |
    | `.tflite`        | LiteRT     | tensorflow                 | `edge`         |
    | `.keras`         | Keras      | tensorflow, jax, torch     |                |
    | none (a folder)  | SavedModel | tensorflow                 |                |
    | `.onnx`          | ONNX       | tensorflow, torch          | `onnx`         |

    A LiteRT file takes one sample at a time. With `quantize`:

    | `quantize`  | weights                                | inputs, outputs and between layers |
    | ----------- | -------------------------------------- | ---------------------------------- |
    | `None`      | float32                                | float32                            |
    | `"float16"` | float16                                | float32                            |
    | `"dynamic"` | int8 in large layers                   | float32                            |
    | `"int8"`    | int8, a scale for each output channel  | int8, with ranges from calibration |

    Inputs of integers (tokens, pixels as `uint8`) keep their type. An operator that LiteRT lacks in
    int8 keeps floating numbers: `EdgeReport.is_integer` says whether all are integers.

    Guarantee: the folded model is exact, the quantized file is an approximation, whose error on
    the given samples the report says. The file appears under its name only after it was run.

    Args:
        model: Built Keras model, wrapped or not: Sequential or Functional, or a subclass of one
            input of floating numbers. Its weights are unchanged;
            the states of stateful recurrent layers move, since it runs.
        path: File to write; its ending chooses the format.
        quantize: One of the table, for LiteRT.
        calibration: Samples that are like those of use, needed by `"int8"`: an array, a list of
            arrays for several inputs or a dict by their names, a tuple of inputs and labels, a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a data loader, a generator, or a function
            that returns one. At most 1000 samples are read.
        evaluation: Samples to compare on, in the same forms, at most 100,000; with labels (classes
            as integers, or rows of zeros with a one) the accuracies are reported too. Defaults to
            the calibration samples without their labels, or else to 32 random ones.
        batch_norm: Whether a `BatchNormalization` that directly follows a layer is folded into
            it.
        input_shape: Shape of one sample, for a model that takes inputs of any size, or that is not
            known to have been built for one.
        micro: Whether to run the LiteRT file in the interpreter for microcontrollers too, on at
            most 500 samples. Defaults to int8 files where tflite-micro is installed.
        runs: Number of timed runs of a LiteRT file, at most 1,000,000.
        threads: Number of threads that an operator of the file may use, from 1 to 1024.
        seed: Seed of the random samples.

    Returns:
        `EdgeReport`.

    Raises:
        ValueError: If an argument is not one of those above, samples do not fit the model, there
            are none, or the model has an operator that the format has not.
        ImportError: If the extra of the format is not installed.
        OSError: If the file cannot be written; nothing is left of it then.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from tfspecnorm import layers
    >>> hidden = layers.SpectralNorm(keras.layers.Dense(4, activation="relu", name="hidden"))
    >>> model = keras.Sequential([keras.Input((3,)), hidden])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export(model, Path(folder) / "model.keras")
    >>> report.operators, report.parameters, report.largest_difference < 1e-5
    ({'Dense': 1}, 16, True)
    """
    check_model(model)
    check_boolean("batch_norm", batch_norm)
    micro = check_optional_boolean("micro", micro)
    target = format_of(path)
    _check_quantize(quantize, target, calibration)
    runs, threads = check_measuring(runs, threads)
    seed = check_seed(seed)
    target.check()
    _check_micro(micro, target)
    _files.check_writable(path, is_folder=target.is_folder)
    model = functional(model, input_shape)
    inputs = inputs_of(model, input_shape)
    calibrated = None
    if calibration is not None:
        calibrated, _ = read_samples("calibration", calibration, inputs, CALIBRATION_LIMIT)
    with folded_for_inference(model, batch_norm) as folded:
        plain = in_float32(folded)
        _check_finite(plain)
        samples, labels = _evaluated(evaluation, calibrated, inputs, seed)
        expected = _expected(model, samples)
        classes = classes_of("evaluation", labels, expected)
        options = {"quantize": quantize, "samples": calibrated} if target.quantizes else {}
        writing = _files.writing_folder if target.is_folder else _files.writing
        holdable = _reported(model, f"be one that the format {target.name} can hold")
        with writing(path) as partial, holdable:
            target.write(plain, inputs, partial, **options)
            opened = target.open(partial, inputs, threads)
            if micro is None:
                micro = quantize == "int8" and is_installed()
            report = measured(target.name, partial, opened, samples, runs, threads, micro)
            report = compared(report, opened.run(samples), expected, classes)
    return dataclasses.replace(
        report,
        path=os.fspath(path),
        quantize=quantize,
        samples=len(samples[0]),
        parameters=plain.count_params(),
    )


def _expected(model: keras.Model, samples: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of the model, which must be finite to be compared with."""
    with _reported(model, "run on samples of its inputs"):
        outputs = predict(model, samples)
    if not all(np.all(np.isfinite(part)) for part in outputs):
        raise ValueError(
            "Argument `evaluation` must hold samples for which the outputs of the model are "
            f"finite. Received: model '{model.name}' with others"
        )
    return outputs


@contextlib.contextmanager
def _reported(model: keras.Model, wanted: str) -> Iterator[None]:
    """Within it, whatever a backend, a converter or a runtime raises is a `ValueError`."""
    try:
        yield
    except (OSError, ImportError, ValueError):
        raise
    except Exception as error:
        # They have errors of their own classes, many of them not public.
        raise ValueError(
            f"Argument `model` must {wanted}. "
            f"Received: model '{model.name}', for which the tools say: {_short(error)}"
        ) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def _evaluated(
    evaluation: Any, calibrated: list[np.ndarray] | None, inputs: list[Input], seed: int
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Samples to compare on, and their labels."""
    if evaluation is not None:
        return read_samples("evaluation", evaluation, inputs)
    if calibrated is not None:
        return calibrated, None
    random = np.random.default_rng(seed)
    return [part.fill(RANDOM_SAMPLES, random) for part in inputs], None


def _check_finite(model: keras.Model) -> None:
    broken = [
        variable.name
        for variable in model.weights
        if not np.all(np.isfinite(keras.ops.convert_to_numpy(variable)))
    ]
    if broken:
        raise ValueError(
            "Argument `model` must have finite weights. "
            f"Received: model '{model.name}' with infinite or undefined numbers in {broken}"
        )


def _check_quantize(quantize: Any, target: Format, calibration: Any) -> None:
    if quantize not in QUANTIZATIONS:
        raise ValueError(
            'Argument `quantize` must be `None`, "float16", "dynamic" or "int8". '
            f"Received: quantize={quantize!r}"
        )
    if quantize is not None and not target.quantizes:
        raise ValueError(
            f"Argument `quantize` must be `None` for the format {target.name}. "
            f"Received: quantize={quantize!r}"
        )
    if quantize == "int8" and calibration is None:
        raise ValueError(
            'Argument `calibration` must be given for `quantize="int8"`: its samples say how '
            "large the numbers between the layers are. Received: calibration=None"
        )


def _check_micro(micro: Any, target: Format) -> None:
    if micro and not target.quantizes:
        raise ValueError(
            "Argument `micro` must be `None` or `False` for other formats than LiteRT. "
            f"Received: micro={micro!r} for the format {target.name}"
        )
    if micro:
        check_installed()
