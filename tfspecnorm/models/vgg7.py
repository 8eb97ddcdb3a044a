"""VGG7, the small convolutional network of the mean spectral normalization paper."""

from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_fraction, check_name, check_positive_integer
from tfspecnorm.models import _building, _classifiers, normalizations

# Filters and padding of each convolution, and whether a pooling follows it.
_CONVOLUTIONS = (
    (32, "same", False),
    (32, "same", True),
    (64, "same", False),
    (64, "same", True),
    (128, "same", True),
    (256, "valid", True),
)
_SMALLEST_SIZE = 32


def vgg7(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "spectral",
    width: float = 1.0,
    negative_slope: float | None = None,
    dropout: float | None = None,
    name: str = "vgg7",
) -> keras.Model:
    """VGG7: six 3×3 convolutions, four poolings, one dense layer.

        32 - 32 - pool - 64 - 64 - pool - 128 - pool - 256 (valid) - pool - dense

    The numbers are filters of a convolution with "same" padding, but for the last one; pool is
    a 2×2 maximum. 32×32 images leave 256 features for the dense head, which is a plain layer
    in every variant. With ten classes and three channels each variant has 437,162 trainable
    parameters: batch normalization's offsets take the place of the convolutions' biases.
    Dropout comes after each pooling: in front of a maximum it moves the means that batch
    normalization records away from those of evaluation.

    | `normalization`     | convolution                        | activation     | dropout |
    | ------------------- | ---------------------------------- | -------------- | ------- |
    | `"none"`            | plain                              | ReLU           | no      |
    | `"batch"`           | no bias, then `BatchNormalization` | ReLU           | 0.3     |
    | `"weight"`          | in `WeightNorm`                    | ReLU           | no      |
    | the spectral ones   | in their wrapper                   | leaky ReLU 0.1 | no      |
    | callable            | in what the callable returns       | leaky ReLU 0.1 | no      |

    Args:
        input_shape: Height, width (at least 32 each) and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to what the
            table says.
        dropout: Dropout rate after each pooling, in [0, 1). Defaults to what the table says.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1` to `conv6`,
        `head`, and so on; wrapped layers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = vgg7(classes=10, normalization="spectral")
    >>> model.get_layer("head").output.shape
    (None, 10)
    >>> vgg7(normalization="none").count_params()
    437162

    Reference: Subramanian, Chong, "Mean Spectral Normalization of Deep Neural Networks for
    Embedded Automation", 2019, arXiv:1907.04003.
    """
    input_shape = _building.check_image_shape(input_shape, _SMALLEST_SIZE)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)
    if dropout is None:
        dropout = 0.3 if normalization.batch else 0.0
    check_fraction("dropout", dropout)

    inputs = keras.Input(input_shape, name="image")
    outputs, pools = inputs, 0
    for number, (filters, padding, pool) in enumerate(_CONVOLUTIONS, start=1):
        convolution = layers.Conv2D(
            _building.filters_of(filters, width),
            3,
            padding=padding,
            use_bias=not normalization.batch,
            name=f"conv{number}",
        )
        outputs = normalization.wrap(convolution)(outputs)
        # What a scale could do, the next layer does.
        outputs = normalization.follow(outputs, f"normalization{number}", scale=False)
        outputs = _building.activation(negative_slope, f"activation{number}")(outputs)
        if pool:
            pools += 1
            outputs = layers.MaxPooling2D(2, name=f"pool{pools}")(outputs)
            if dropout:
                outputs = layers.Dropout(dropout, name=f"dropout{pools}")(outputs)
    outputs = layers.Flatten(name="flatten")(outputs)
    outputs = layers.Dense(classes, name="head")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))
