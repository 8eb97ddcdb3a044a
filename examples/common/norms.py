"""The size of every kernel of a model."""

import keras
import numpy as np

from tfspecnorm import kernels

COLUMN = "sigma/"


def raw_norms(model: keras.Model) -> dict[str, float]:
    """Spectral norms of the raw kernels of a model, as columns of a history.

    That is the largest singular value of the kernel as a matrix with a column for each output,
    or of the largest of its blocks.

    Args:
        model: A built model of plain and wrapped layers.

    Returns:
        Dict from `"sigma/"` and the name of the layer to the norm, in the order of the layers;
        a layer with several kernels has a column for each.
    """
    norms = {}
    for layer in model.layers:
        if hasattr(layer, "effective_kernels"):
            name, found = layer.layer.name, layer.kernels
        elif kernels.is_registered(layer):
            name, found = layer.name, kernels.kernels_of(layer)
        else:
            continue
        for kernel in found:
            column = COLUMN + (name if len(found) == 1 else f"{name}/{kernel.name}")
            value = keras.ops.convert_to_numpy(kernel.variable)
            matrix = kernel.linear_map.matrix(value, np)
            norms[column] = float(np.linalg.norm(matrix, 2, axis=(-2, -1)).max())
    return norms
