"""Extractors without a network, random Gaussians, and a data set that is quickly learned."""

import numpy as np

from tests.tools import random


class Given:
    """Takes features, or class probabilities, for images."""

    def __init__(self, name="given"):
        self.name = name

    def features(self, images):
        return np.asarray(images)

    probabilities = features


def orthogonal(size, seed=0):
    return np.linalg.qr(random(size, size, seed=seed, dtype="float64"))[0]


def covariance(size, samples, seed=0):
    """A covariance of rank `samples - 1` or full, of axes of different lengths."""
    vectors = random(samples, size, seed=seed, dtype="float64") * np.linspace(0.1, 3.0, size)
    return np.cov(vectors, rowvar=False)


def striped(count, seed=0, size=8):
    """Three classes: stripes along either axis, and none; with noise."""
    labels = np.arange(count) % 3
    stripes = np.where(np.arange(size) % 4 < 2, 0.6, -0.6)
    plain = np.zeros((size, size))
    patterns = np.stack([plain + stripes, plain + stripes[:, None], plain])
    noise = np.random.default_rng(seed).uniform(-0.4, 0.4, (count, size, size))
    return (patterns[labels] + noise).astype("float32")[..., None], labels
