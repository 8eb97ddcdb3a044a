"""What callbacks that look at generated images share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


def generator_of(model: Any, callback: str) -> Callable[..., Any]:
    """The method `generate` of a model, or a `ValueError` that names the callback."""
    generate = getattr(model, "generate", None)
    if not callable(generate):
        raise ValueError(
            f"`{callback}` needs a model with a method `generate(count, seed=None)`. "
            f"Received: model '{model.name}' without one"
        )
    return generate


def trial(generate: Callable[..., Any], count: int, seed: int) -> np.ndarray:
    """One or two images before any training, so that a wrong `generate` is found at once."""
    return generated(generate, min(count, 2), seed)


def generated(generate: Callable[..., Any], count: int, seed: int) -> np.ndarray:
    """Images `(count, height, width, channels)` as a `float32` array, or a `ValueError`."""
    images = ops.convert_to_numpy(generate(count, seed=seed))
    is_float = images.dtype.kind == "f" or "float" in images.dtype.name
    if images.ndim != 4 or len(images) != count or not images.size or not is_float:
        raise ValueError(
            f"`generate({count}, seed={seed})` must return {count} images of floats in [-1, 1] "
            f"(batch, height, width, channels). Received: an array of shape {images.shape} of type "
            f"{images.dtype}"
        )
    return images.astype("float32")
