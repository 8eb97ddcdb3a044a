"""Matrices that a monitor cannot measure because nobody described them."""

import keras

from tfspecnorm.kernels.containers import walk
from tfspecnorm.kernels.undescribed import matrices_of, why_undescribed
from tfspecnorm.layers._listing import has_kernels


def undescribed(model: keras.Model) -> dict[str, str]:
    """The reason for each matrix of a layer without a description, by the path of the matrix."""

    def is_known(layer: keras.layers.Layer) -> bool:
        return has_kernels(layer) and not isinstance(layer, keras.Model)

    found = {matrix.name: why_undescribed(model) for matrix in matrices_of(model, deep=False)}
    for place in walk(model, is_known):
        if not place.is_unit:
            for matrix in matrices_of(place.layer, deep=False):
                found["/".join((*place.path, matrix.name))] = why_undescribed(place.layer)
    return found
