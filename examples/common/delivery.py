"""From a trained model to a file for a device, with the proof that both compute the same."""

import keras
import numpy as np

from common.command import CheckError
from common.datasets import Images
from common.litert import export_litert, run_litert
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

    The folder then holds `curves.png`, `trained.keras`, `folded.keras`, `NETWORK.tflite` and
    `report.json`.

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
            trained model's by more than 1e-4.
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
    _check("the folded model", folded_logits, logits)
    name = f"{run.network}.tflite"
    with folder.writing(name) as path:
        export_litert(folded, path)
        litert_logits, seconds = run_litert(path, tests)
        difference = _check("the LiteRT file", litert_logits, logits)
        size = path.stat().st_size

    result = Result(
        parameters=sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        accuracy_keras=_accuracy(logits, images.test_labels),
        accuracy_folded=_accuracy(folded_logits, images.test_labels),
        accuracy_litert=_accuracy(litert_logits, images.test_labels),
        largest_difference=difference,
        litert_bytes=size,
        latency_ms=1000 * float(np.median(seconds)),
        training_seconds=sum(history["seconds"]),
    )
    standardization = {"mean": images.mean.tolist(), "deviation": images.deviation.tolist()}
    write_report(run, result, standardization)
    return result


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(logits.argmax(axis=-1) == labels))


def _check(what: str, logits: np.ndarray, expected: np.ndarray) -> float:
    difference = float(np.max(np.abs(logits - expected)))
    # Not `difference > limit`: a NaN must not pass.
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckError(
            f"{what} differs from the trained model by {difference:.1e} in a logit; at most "
            f"{LARGEST_DIFFERENCE:.0e} is wanted"
        )
    return difference
