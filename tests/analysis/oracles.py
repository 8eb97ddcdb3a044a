"""Slopes of actual Keras layers and functions, without any formula of the package."""

import numpy as np

from tests import tools


def matrix_of_linear(layer, shape):
    """The dense matrix of a linear layer, one input entry in each row; `shape` has no batch."""
    size = int(np.prod(shape))
    inputs = np.eye(size + 1, size, dtype="float32").reshape(size + 1, *shape)
    outputs = tools.array(layer(inputs)).reshape(size + 1, -1)
    return outputs[:-1] - outputs[-1]


def jacobian(function, point, step=1e-6):
    """The Jacobian at a point by central differences in float64, one input entry in each row.

    A function that answers in float32 needs a longer step.
    """
    point = np.asarray(point, "float64")
    basis = step * np.eye(point.size).reshape(point.size, *point.shape)
    with tools.double_precision():
        ahead, behind = (tools.array(function(point + sign * basis)) for sign in (1.0, -1.0))
    assert ahead.dtype == "float64" or step >= 1e-2
    ahead, behind = ahead.astype("float64"), behind.astype("float64")
    return (ahead - behind).reshape(point.size, -1) / (2 * step)


def largest_slope(function, points):
    """The largest |f(x) − f(y)| / |x − y| of neighbours among the points, and its rounding.

    In float64, but for the functions that Keras computes in float32 on JAX: there the points must
    be further apart.
    """
    with tools.double_precision():
        values = tools.array(function(np.asarray(points, "float64")))
    rounding = 1e-9
    if values.dtype == "float32":
        values, points, rounding = values[::100].astype("float64"), points[::100], 1e-5
    return float(np.max(np.abs(np.diff(values) / np.diff(points)))), rounding
