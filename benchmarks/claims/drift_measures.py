"""What is measured of a network in training: means of activations and weights, gradients."""

import math
from typing import Any

import keras
import numpy as np

import tfspecnorm

TOP = 10


def kernels(model: keras.Model) -> dict[str, keras.Variable]:
    """The trained kernels of a model's convolutions and dense layers, by name."""
    layers = [getattr(layer, "layer", layer) for layer in model.layers]
    linear = keras.layers.Conv2D, keras.layers.Dense
    return {layer.name: layer.kernel for layer in layers if isinstance(layer, linear)}


def used_kernels(model: keras.Model) -> dict[str, keras.Variable]:
    """The kernels that the layers compute with in evaluation, batch normalization merged in."""
    return kernels(tfspecnorm.fold(model, batch_norm=True))


def pre_activations(model: keras.Model) -> keras.Model:
    """A model of what goes into each activation, by the name of the convolution before it."""
    activations = keras.layers.ReLU, keras.layers.LeakyReLU
    return keras.Model(
        model.input,
        {
            layer.name.replace("activation", "conv"): layer.input
            for layer in model.layers
            if isinstance(layer, activations)
        },
    )


def moments(values: np.ndarray) -> dict[str, float]:
    """Mean and deviation of all entries."""
    values = np.asarray(values, "float64")
    return {"mean": float(values.mean()), "deviation": float(values.std())}


def channel_drift(values: np.ndarray, start: np.ndarray) -> float:
    """How far the means of the channels have moved from those of the start.

    Root mean square over the channels, relative to the root mean square of their deviations. Of a
    dead layer, which has the same values everywhere, it is not a number.
    """
    values, start = (
        np.asarray(own, "float64").reshape(-1, own.shape[-1]) for own in (values, start)
    )
    moved = values.mean(axis=0) - start.mean(axis=0)
    deviation = np.sqrt(values.var(axis=0).mean())
    return float(np.sqrt(np.square(moved).mean()) / deviation) if deviation else math.nan


def zero_share(gradient: np.ndarray) -> float:
    """Share of entries that are exactly zero, as the authors' code counts them.

    Not a number if an entry is none, or if all are zero: nothing reaches the layer.
    """
    if not (np.isfinite(gradient).all() and gradient.any()):
        return math.nan
    return 1 - np.count_nonzero(gradient) / np.size(gradient)


def covariance(gradients: np.ndarray) -> dict[str, Any]:
    """Spectrum of the covariance of gradients, one in each row.

    The covariance of few gradients of many entries has the eigenvalues of their small Gram matrix,
    and zeros. All figures are exact.

    Returns:
        `variance`: mean over the entries; `eigenvalues`: the largest ones; `top_share`: part of
        the largest one in the sum of all, if that is not 0; `mean_square`: mean over the entries
        of the squared mean gradient.
    """
    gradients = np.asarray(gradients, "float64")
    count, size = gradients.shape
    mean = gradients.mean(axis=0)
    centred = gradients - mean
    gram = centred @ centred.T / (count - 1)
    # Of a training that diverged nothing is a number; eigenvalues would be an error.
    finite = np.isfinite(gram).all()
    values = np.linalg.eigvalsh(gram)[::-1].clip(0) if finite else np.full(count, np.nan)
    total = values.sum()
    return {
        "variance": float(total / size),
        "eigenvalues": [float(value) for value in values[:TOP]],
        "top_share": float(values[0] / total) if total else math.nan,
        "mean_square": float(np.square(mean).mean()),
    }
