"""How far two ways to compute the same outputs are apart."""

import math
from typing import Any

import numpy as np

Arrays = list[np.ndarray]


def differences(outputs: Arrays, expected: Arrays) -> tuple[float, float]:
    """Largest and mean |difference| of all outputs."""
    found = [
        np.abs(made.astype("float64") - wanted).ravel()
        for made, wanted in zip(outputs, expected, strict=True)
    ]
    all_of_them = np.concatenate(found)
    return float(all_of_them.max()), float(all_of_them.mean())


def signal_to_noise_db(outputs: Arrays, expected: Arrays) -> float:
    """Signal-to-noise ratio of the outputs in decibels, ∞ for equal ones, −∞ for noise alone.

    10·log₁₀(Σ expected² / Σ (outputs − expected)²)
    """
    signal = sum(float(np.sum(np.square(part, dtype="float64"))) for part in expected)
    noise = sum(
        float(np.sum(np.square(made.astype("float64") - wanted)))
        for made, wanted in zip(outputs, expected, strict=True)
    )
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def agreement(outputs: Arrays, expected: Arrays) -> float | None:
    """Share of predictions that are the same, `None` where outputs are single numbers.

    A prediction is the place of the largest output along the last axis.
    """
    same = [
        (made.argmax(axis=-1) == wanted.argmax(axis=-1)).ravel()
        for made, wanted in zip(outputs, expected, strict=True)
        if made.ndim > 1 and made.shape[-1] > 1
    ]
    return float(np.mean(np.concatenate(same))) if same else None


def accuracy(outputs: Arrays, classes: np.ndarray) -> float:
    """Share of right answers of the first output."""
    return float(np.mean(outputs[0].argmax(axis=-1) == classes))


def classes_of(argument: str, labels: np.ndarray | None, outputs: Arrays) -> Any:
    """Labels as numbers of classes, or `None` without labels.

    Args:
        argument: Name of the caller's argument, for errors.
        labels: Integers, of shape `(count,)` or `(count, 1)`, or one row of ones and zeros for each
            sample.
        outputs: Outputs of the model on the same samples.

    Raises:
        ValueError: If they do not fit the outputs.
    """
    if labels is None:
        return None
    first = outputs[0]
    if len(outputs) != 1 or first.ndim != 2 or first.shape[1] < 2:
        raise ValueError(
            f"Argument `{argument}` must have no labels for a model without one output of shape "
            f"(samples, classes). Received: outputs of shapes {[part.shape for part in outputs]}"
        )
    if labels.shape == first.shape and np.array_equal(np.sort(labels), np.sort(_one_hot(labels))):
        return labels.argmax(axis=-1)
    classes = labels.reshape(-1) if labels.shape in ((len(first),), (len(first), 1)) else None
    if (
        classes is None
        or not np.array_equal(classes, np.rint(classes))
        or classes.min() < 0
        or classes.max() >= first.shape[1]
    ):
        raise ValueError(
            f"Argument `{argument}` must have as labels a class in [0, {first.shape[1]}), or a row "
            f"of {first.shape[1]} ones and zeros, for each sample. "
            f"Received: labels of shape {labels.shape} from {labels.min()} to {labels.max()}"
        )
    return classes


def _one_hot(labels: np.ndarray) -> np.ndarray:
    """Rows of zeros with a one where the largest entry is."""
    return np.eye(labels.shape[1])[labels.argmax(axis=-1)]
