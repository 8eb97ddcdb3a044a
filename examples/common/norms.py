"""The size of every kernel of a model."""

import keras
import numpy as np

COLUMN = "sigma/"


def raw_norms(model: keras.Model) -> dict[str, float]:
    """Spectral norms of the raw kernels of a model, as columns of a history.

    For a wrapped layer that is what the wrapper divides by; for a plain layer the largest
    singular value of the kernel, reshaped to a matrix with a column for each output.

    Args:
        model: A built model of plain and wrapped layers with one kernel each.

    Returns:
        Dict from `"sigma/"` and the name of the layer to the norm, in the order of the layers.
    """
    norms = {}
    for layer in model.layers:
        if hasattr(layer, "sigma"):
            (sigma,) = layer.sigma().values()
            norms[COLUMN + layer.layer.name] = float(sigma)
        elif hasattr(layer, "kernel"):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            matrix = kernel.reshape(-1, kernel.shape[-1])
            norms[COLUMN + layer.name] = float(np.linalg.norm(matrix, 2))
    return norms
