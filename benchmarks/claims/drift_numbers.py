"""From what was recorded of a training to the numbers that are compared."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.claims import spread
from benchmarks.claims.claim import Results

# Normalization and slope of the activation below zero. Which entries of a gradient are zero depends
# on the slope, and the authors' slopes differ: 0 without normalization and with BN, 0.1 with
# SN and MSN.
CONTENDERS = (
    ("none", 0.0),
    ("batch", 0.0),
    ("spectral", 0.0),
    ("mean-spectral", 0.0),
    ("spectral", 0.1),
    ("mean-spectral", 0.1),
)
# By normalization and slope of the activation: a number for each seed, NaN for those that diverged.
Values = dict[tuple[str, float], list[float]]


def layer_drift(figures: dict[str, Any], kind: str) -> np.ndarray:
    """|mean − mean at the start| / deviation, mean over the layers, for each epoch."""
    return np.mean([_drift(own) for own in figures[kind].values()], axis=0)


def _drift(own: dict[str, list[float]]) -> np.ndarray:
    means, deviations = np.array(own["mean"], float), np.array(own["deviation"], float)
    return np.abs(means - means[0]) / _positive(deviations)


def _positive(values: np.ndarray) -> np.ndarray:
    """The values with NaN for zeros, which dead layers have."""
    return np.where(values > 0, values, np.nan)


def _mean(rows: list[list[float]]) -> np.ndarray:
    """Mean over the layers; `None`, which stands for what is not finite, is not a number."""
    return np.array(rows, float).mean(axis=0)


def channels(figures: dict[str, Any]) -> np.ndarray:
    """Drift of the channels' means, mean over the layers, for each epoch."""
    return _mean([own["channels"] for own in figures["activations"].values()])


def zeros(figures: dict[str, Any]) -> np.ndarray:
    """Share of exact zeros in the gradients, mean over the layers, for each epoch."""
    return _mean([own["share"] for own in figures["zeros"].values()])


def covariance(figures: dict[str, Any], name: str) -> np.ndarray:
    """Decimal logarithm of a figure of the covariance, mean over the layers, for each moment."""
    own = [layer[name] for layer in figures["covariance"].values()]
    first = [[value[0] if isinstance(value, list) else value for value in row] for row in own]
    return np.log10(_positive(np.array(first, float))).mean(axis=0)


# Title, number of digits, and the number of a seed: drifts at the end, all else as the mean over
# the training.
MEASURES = {
    "layer": ("activations, layer", 3, lambda f: layer_drift(f, "activations")[-1]),
    "channels": ("activations, channels", 2, lambda f: channels(f)[-1]),
    "kernels": ("weights, trained kernel", 3, lambda f: layer_drift(f, "kernels")[-1]),
    "used": ("weights, kernel in use", 3, lambda f: layer_drift(f, "used")[-1]),
    "zeros": ("zeros in gradients, %", 2, lambda f: 100 * zeros(f)[1:].mean()),
    "variance": ("log₁₀ variance", 2, lambda f: covariance(f, "variance")[1:].mean()),
    "eigenvalue": ("log₁₀ top eigenvalue", 2, lambda f: covariance(f, "eigenvalues")[1:].mean()),
    "share": ("top eigenvalue, % of the sum", 0, lambda f: 100 * _top_share(f)),
}


def _top_share(figures: dict[str, Any]) -> float:
    own = [layer["top_share"][1:] for layer in figures["covariance"].values()]
    return float(np.mean(np.array(own, float)))


def collected(results: Results, measure: str) -> Values:
    """The numbers of all seeds, by normalization and slope."""
    found: Values = {}
    for result in results.values():
        key = result["options"]["normalization"], result["options"]["slope"]
        found.setdefault(key, []).append(float(MEASURES[measure][2](result["figures"])))
    return found


def larger(values: Sequence[float], others: Sequence[float]) -> int | None:
    """Whether the first numbers are the larger ones, as `spread.difference` says it.

    A seed that diverged counts as the number, of those found, that speaks most against it.
    """
    found = [value for value in (*values, *others) if math.isfinite(value)]
    return spread.difference(
        _filled(values, min(found, default=0.0)), _filled(others, max(found, default=0.0))
    )


def _filled(values: Sequence[float], instead: float) -> list[float]:
    return [value if math.isfinite(value) else instead for value in values]


def described(values: Sequence[float], digits: int) -> str:
    """Mean and spread of the seeds that did not diverge, and how many did."""
    if not values:
        return "–"
    finite = [value for value in values if math.isfinite(value)]
    lost = len(values) - len(finite)
    parts = [spread.spread(finite, digits)] * bool(finite)
    return ", ".join(parts + [f"{lost} of {len(values)} diverged"] * bool(lost))
