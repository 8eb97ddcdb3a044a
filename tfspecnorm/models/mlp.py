"""A multi-layer perceptron with any normalization."""

from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_name, check_positive_integer, is_integer
from tfspecnorm.models import _building, _classifiers, normalizations


def mlp(
    input_shape: tuple[int, ...] = (64,),
    classes: int = 10,
    normalization: Any = "spectral",
    width: float = 1.0,
    depth: int = 3,
    units: int = 128,
    negative_slope: float | None = None,
    name: str = "mlp",
) -> keras.Model:
    """A multi-layer perceptron: hidden dense layers of one size, and a dense head.

        dense - activation - ... - dense - activation - dense

    | `normalization`   | hidden layer                       | head              |
    | ----------------- | ---------------------------------- | ----------------- |
    | `"none"`          | plain                              | plain             |
    | `"batch"`         | no bias, then `BatchNormalization` | plain             |
    | `"weight"`        | in `WeightNorm`                    | plain             |
    | `"mean-spectral"` | in `MeanSpectralNorm`              | in `SpectralNorm` |
    | other names       | in their wrapper                   | in it too         |
    | callable          | in what the callable returns       | in it too         |

    A network in which every layer is in `SpectralNorm` is 1-Lipschitz, and has a certified
    radius for each image, see `tfspecnorm.certified_radius`. One in `WeightNorm` has the form
    for which `tfspecnorm.initializers.robust` is meant, at any depth.

    Args:
        input_shape: Shape of one input, which is flattened: `(64,)`, `(28, 28, 1)`, ...
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that `units` is multiplied with.
        depth: Positive integer, the number of hidden layers.
        units: Positive integer, the size of a hidden layer.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` to logits. Its layers are `dense1`, `dense2` and so on,
        `head`; the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from tfspecnorm import initializers
    >>> model = mlp((8, 8, 1), normalization="weight", depth=20, units=32)
    >>> initializers.robust(model, seed=0)
    >>> model.output_shape
    (None, 10)

    Reference: for deep ones, Arpit, Campos, Bengio, "How to Initialize your Network? Robust
    Initialization for WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """
    input_shape = _checked_shape(input_shape)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    depth = check_positive_integer("depth", depth)
    units = _building.filters_of(check_positive_integer("units", units), width)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)

    inputs = keras.Input(input_shape, name="inputs")
    outputs = inputs
    if len(input_shape) > 1:
        outputs = layers.Flatten(name="flatten")(outputs)
    for number in range(1, depth + 1):
        dense = layers.Dense(units, use_bias=not normalization.batch, name=f"dense{number}")
        outputs = normalization.wrap(dense)(outputs)
        outputs = normalization.follow(outputs, f"normalization{number}")
        outputs = _building.activation(negative_slope, f"activation{number}")(outputs)
    outputs = _classifiers.head(normalization, classes)(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def _checked_shape(input_shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(input_shape)
    except TypeError:
        sizes = ()
    if not sizes or not all(is_integer(size) and size > 0 for size in sizes):
        raise ValueError(
            "Argument `input_shape` must be a tuple of positive integers. "
            f"Received: input_shape={input_shape!r}"
        )
    return tuple(int(size) for size in sizes)
