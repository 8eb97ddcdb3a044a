"""From what was recorded of a training to the numbers that are compared."""

import math
from typing import Any

import numpy as np

from benchmarks.claims.claim import Results

# By normalization and slope of the activation.
Values = dict[tuple[str, float], list[float]]
_TINY = 1e-30


def layer_drift(figures: dict[str, Any], kind: str) -> np.ndarray:
    """|mean − mean at the start| / deviation, mean over the layers, for each epoch."""
    return np.mean([_drift(own) for own in figures[kind].values()], axis=0)


def _drift(own: dict[str, list[float]]) -> np.ndarray:
    means, deviations = np.array(own["mean"], float), np.array(own["deviation"], float)
    return np.abs(means - means[0]) / np.maximum(deviations, _TINY)


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
    return np.log10(np.maximum(np.array(first, float), _TINY)).mean(axis=0)


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
    """The numbers of the seeds that did not diverge, by normalization and slope."""
    found: Values = {}
    for result in results.values():
        key = result["options"]["normalization"], result["options"]["slope"]
        value = float(MEASURES[measure][2](result["figures"]))
        if math.isfinite(value):
            found.setdefault(key, []).append(value)
    return found
