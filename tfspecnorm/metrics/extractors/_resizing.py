"""Images of another size."""

import numpy as np


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images `(batch, height, width, channels)` at another height and width.

    Bilinear; where an axis shrinks, the triangle is as wide as the step between two pixels of the
    result, so that no pixel is left out (antialias). In NumPy, so that the numbers are the same on
    every backend.
    """
    # One axis after the other: the triangle of two dimensions is a product.
    for axis, length in zip((1, 2), size, strict=True):
        if images.shape[axis] != length:
            weights = _weights(images.shape[axis], length).astype(images.dtype)
            images = np.moveaxis(np.tensordot(images, weights, ((axis,), (1,))), -1, axis)
    return np.ascontiguousarray(images)


def _weights(before: int, after: int) -> np.ndarray:
    """How much every pixel before counts in every pixel after."""
    step = before / after
    centers = (np.arange(after)[:, None] + 0.5) * step
    distances = np.abs(np.arange(before) + 0.5 - centers) / max(step, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    # At the border a part of the triangle has no pixels.
    return weights / weights.sum(axis=1, keepdims=True)
