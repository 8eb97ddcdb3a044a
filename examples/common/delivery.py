"""From a trained model to a file for a device, with the proof that both compute the same."""

import dataclasses

import keras
import numpy as np

from common import backend
from common.command import CheckError
from common.datasets import Images
from common.litert import export_litert
from common.plots import plot_curves
from common.report import Result, write_report
from common.run import Run

LARGEST_DIFFERENCE = 1e-4


def deliver(
    model: keras.Model,
    folded: keras.Model,
    images: Images,
    history: dict[str, list[float]],
    run: Run,
) -> Result:
    """Writes curves, models, LiteRT file and report, and checks the file on all test images.

    The folder then holds `curves.png`, `trained.keras`, `folded.keras`, `report.json` and, on
    TensorFlow, which alone can write one, the LiteRT file `NETWORK.tflite`.

    Args:
        model: The trained model.
        folded: The same as a plain model.
        images: The data, of which the test images are used.
        history: Dict from a column's name to its values, one for each epoch.
        run: The run that all this belongs to.

    Returns:
        The `Result`.

    Raises:
        CheckError: If a logit of the folded model or of the LiteRT file differs from the
            trained model's by more than 1e-4, or 1e-4 times the largest logit.
    """
    folder = run.folder
    with folder.writing("curves.png") as path:
        plot_curves(history, run.title, path)
    with folder.writing("trained.keras") as path:
        model.save(path)
    with folder.writing("folded.keras") as path:
        folded.save(path)

    tests = images.standardized_test_images()
    logits = model.predict(tests, verbose=0)
    folded_logits = folded.predict(tests, verbose=0)
    check_agreement("the folded model", folded_logits, logits)
    result = Result(
        parameters=sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        accuracy_keras=_accuracy(logits, images.test_labels),
        accuracy_folded=_accuracy(folded_logits, images.test_labels),
        training_seconds=sum(history["seconds"]),
    )
    if backend.NAME == "tensorflow":
        result = _with_litert(result, model, (tests, images.test_labels), logits, run)
    standardization = {"mean": images.mean.tolist(), "deviation": images.deviation.tolist()}
    write_report(run, result, standardization)
    return result


def _with_litert(
    result: Result,
    model: keras.Model,
    evaluation: tuple[np.ndarray, np.ndarray],
    logits: np.ndarray,
    run: Run,
) -> Result:
    """Writes the LiteRT file, runs it on all test images, and adds what it found."""
    with run.folder.writing(f"{run.network}.tflite") as path:
        report = export_litert(model, path, evaluation)
        check_difference("the LiteRT file", report.largest_difference, logits)
    return dataclasses.replace(
        result,
        accuracy_litert=report.accuracy_file,
        largest_difference=report.largest_difference,
        litert_bytes=report.file_bytes,
        latency_ms=report.latency_ms,
    )


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(logits.argmax(axis=-1) == labels))


def check_agreement(what: str, outputs: np.ndarray, expected: np.ndarray) -> None:
    """Raise a `CheckError` if two arrays differ by too much, see `check_difference`."""
    check_difference(what, float(np.max(np.abs(outputs - expected))), expected)


def check_difference(what: str, difference: float, expected: np.ndarray) -> None:
    """Raise a `CheckError` if outputs differ by too much from the trained model's.

    That is more than 1e-4, or than 1e-4 times the largest output, which is how outputs round.

    Args:
        what: What made the outputs, the beginning of a sentence.
        difference: Their largest |difference|.
        expected: Array of the trained model.
    """
    limit = LARGEST_DIFFERENCE * max(1.0, float(np.max(np.abs(expected))))
    # Not `difference > limit`: a NaN must not pass.
    if not difference <= limit:
        raise CheckError(
            f"{what} differs from the trained model by {difference:.1e} in an output; at most "
            f"{limit:.1e} is wanted"
        )
