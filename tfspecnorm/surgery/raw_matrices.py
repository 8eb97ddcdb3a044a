"""The matrices of a model that no wrapper normalizes."""

import dataclasses

import keras

from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.attachment import plain_class
from tfspecnorm.kernels.composites import is_position_table, is_unit
from tfspecnorm.kernels.containers import Place, held_in, walk
from tfspecnorm.kernels.description import kernels_of
from tfspecnorm.kernels.holders import own_matrices
from tfspecnorm.layers.reparameterization import Reparameterization

NOT_WRAPPED = "it is not wrapped"


@dataclasses.dataclass(frozen=True)
class RawMatrix:
    """A matrix that is trained as it is.

    Args:
        path: Path of the variable.
        shape: Shape of the variable.
        layer: Class name of the layer that it belongs to.
        reason: Why it is left as it is.
    """

    path: str
    shape: tuple[int, ...]
    layer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.shape}: {self.reason}"


def raw_matrices(model: keras.Model) -> list[RawMatrix]:
    """The matrices of a model that no wrapper normalizes, with the reasons.

    A matrix is a variable of two axes or more that is no bias and no scale of a normalization.

    Args:
        model: Built Keras model.

    Returns:
        List of one `RawMatrix` for each of them.

    Raises:
        ValueError: If the model is not a built model.

    Example:

    >>> from tfspecnorm import layers, wrap
    >>> inputs = keras.Input((3,))
    >>> hidden = keras.layers.Dense(4, name="hidden")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))
    >>> model = wrap(model, layers.SpectralNorm, where=lambda layer: layer.name != "head")
    >>> [str(matrix) for matrix in raw_matrices(model)]
    ['head/kernel (4, 2): it is not wrapped']
    """
    check_model(model)
    return [matrix for matrix, _ in found_in(model)]


def found_in(model: keras.Model) -> list[tuple[RawMatrix, keras.layers.Layer]]:
    """Pairs of a raw matrix and its layer."""
    places = [Place(model, (model.name,), (), False), *walk(model, _is_unit, held_in)]
    found: dict[int, tuple[RawMatrix, keras.layers.Layer]] = {}
    taken: set[int] = set()
    for place in places:
        for variable, reason in _left_in(place):
            name = plain_class(place.layer).__name__
            matrix = RawMatrix(variable.path, tuple(variable.shape), name, reason)
            found.setdefault(id(variable), (matrix, place.layer))
        if isinstance(place.layer, Reparameterization) and place.layer.built:
            taken.update(id(kernel.variable) for kernel in place.layer.kernels)
    return [pair for key, pair in found.items() if key not in taken]


def _left_in(place: Place) -> list[tuple[keras.Variable, str]]:
    layer = place.layer
    if isinstance(layer, Reparameterization):
        return layer.left_raw if layer.built else []
    if not place.is_unit:
        reason = f"{plain_class(layer).__name__} is not known: `tfspecnorm.kernels.register`"
        return [(variable, reason) for variable in own_matrices(layer)]
    reason = "a table of positions" if is_position_table(place) else NOT_WRAPPED
    return [(kernel.variable, reason) for kernel in kernels_of(layer)] if layer.built else []


def _is_unit(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, Reparameterization) or is_unit(layer)
