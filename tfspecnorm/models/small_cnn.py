"""The small convolutional network for digits of the mean spectral normalization paper."""

from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_name, check_positive_integer
from tfspecnorm.models import _building, _classifiers, normalizations

# Filters, kernel size, stride and padding of each convolution. Two zeros on every side of its input
# are what "same" means for the first; the others get them from a layer in front.
_CONVOLUTIONS = ((16, 5, 1, "same"), (32, 3, 1, "valid"), (32, 4, 2, "valid"))


def small_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    normalization: Any = "spectral",
    width: float = 1.0,
    negative_slope: float | None = None,
    name: str = "small_cnn",
) -> keras.Model:
    """A small network for digits: three convolutions without pooling, and one dense layer.

        5×5 of 16 filters - 3×3 of 32 - 4×4 of 32 with stride 2 - dense

    Two zeros stand around the inputs of each convolution, so that digits of 28×28 become 28×28,
    30×30 and 16×16 positions. Trainable parameters for digits of ten classes:

    | `normalization`   | convolution                        | head              | parameters |
    | ----------------- | ---------------------------------- | ----------------- | ---------- |
    | `"none"`          | plain                              | plain             | 103,402    |
    | `"batch"`         | no bias, then `BatchNormalization` | plain             | 103,482    |
    | `"weight"`        | in `WeightNorm`                    | plain             | 103,482    |
    | `"mean-spectral"` | in `MeanSpectralNorm`              | in `SpectralNorm` | 103,402    |
    | other names       | in their wrapper                   | in it too         | 103,402    |
    | callable          | in what the callable returns       | in it too         |            |

    The authors' code counts more, of parameters that change nothing: biases that a mean cancels
    (80, with `"batch"` and `"mean-spectral"`), a factor for each normalized layer that gets no
    gradient (4, with the spectral ones), and scales that the paper's formula of
    `"mean-spectral"` has not (80).

    Args:
        input_shape: Height, width and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1` to `conv3`,
        `head`, and so on; the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> small_cnn(normalization="mean-spectral").get_layer("flatten").output.shape
    (None, 8192)

    Reference: Subramanian, Chong, "Mean Spectral Normalization of Deep Neural Networks for
    Embedded Automation", 2019, arXiv:1907.04003.
    """
    input_shape = _building.check_image_shape(input_shape)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)

    inputs = keras.Input(input_shape, name="image")
    outputs = inputs
    for number, (filters, size, strides, padding) in enumerate(_CONVOLUTIONS, start=1):
        if padding == "valid":
            outputs = layers.ZeroPadding2D(2, name=f"padding{number}")(outputs)
        convolution = layers.Conv2D(
            _building.filters_of(filters, width),
            size,
            strides,
            padding=padding,
            use_bias=not normalization.batch,
            name=f"conv{number}",
        )
        outputs = normalization.wrap(convolution)(outputs)
        outputs = normalization.follow(outputs, f"normalization{number}")
        outputs = _building.activation(negative_slope, f"activation{number}")(outputs)
    outputs = layers.Flatten(name="flatten")(outputs)
    outputs = _classifiers.head(normalization, classes)(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))
