"""MobileNetV2 with any normalization, for large and for small images."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import (
    check_fraction,
    check_name,
    check_optional_boolean,
    check_positive,
    check_positive_integer,
    is_integer,
)
from tfspecnorm.models import _building, _classifiers, normalizations

# Expansion, filters, blocks and stride of the first block, of each stage.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_SMALL = 64
_HIGHEST = 6.0


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "spectral",
    width: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = STAGES,
    last_filters: int = 1280,
    small_strides: bool | None = None,
    dropout: float = 0.0,
    name: str = "mobilenet_v2",
) -> keras.Model:
    """MobileNetV2: inverted residual blocks of pointwise and depthwise convolutions.

        3×3 of 32 filters - 17 blocks - 1×1 of 1280 filters - mean over positions - dense

    A block expands its channels by a 1×1 convolution, filters each of them by a 3×3 depthwise
    one, and projects them back by another 1×1, which no activation follows; a block with as
    many channels and positions behind as before adds its input. All activations are ReLU6, in
    every variant. The head is a plain layer.

    Trainable parameters:

    | `normalization` | convolution                        | ten classes | 1000 classes |
    | --------------- | ---------------------------------- | ----------- | ------------ |
    | `"batch"`       | no bias, then `BatchNormalization` | 2,236,682   | 3,504,872    |
    | `"weight"`      | in `WeightNorm`                    | 2,236,682   | 3,504,872    |
    | all others      | with a bias, in its wrapper if any | 2,219,626   | 3,487,816    |

    Args:
        input_shape: Height, width and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number α that the filters are multiplied with; the results are rounded
            to multiples of 8. The last 1×1 convolution's only grow, as in the paper.
        stages: For each stage a tuple of its expansion, its filters, the number of its blocks,
            and the stride of the first of them. Defaults to the paper's table.
        last_filters: Positive integer, filters of the last 1×1 convolution, which holds most of
            the parameters of a small network.
        small_strides: Whether the first convolution and the second stage have stride 1, so that
            32×32 images leave 4×4 positions instead of one. Defaults to images with a side
            below 64.
        dropout: Dropout rate in front of the head, in [0, 1). Defaults to 0.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1`,
        `block1_expand`, `block1_depthwise`, `block1_project` and so on, `conv2`, `head`; the
        layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = mobilenet_v2(width=0.35, stages=((1, 16, 1, 1), (6, 24, 2, 2)))
    >>> model.get_layer("block3_add").output.shape
    (None, 32, 32, 8)

    With `"batch"` and images of 224×224 the weights of `keras.applications.MobileNetV2` fit:
    `model.set_weights(reference.get_weights())`.

    Reference: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
    Bottlenecks", 2018, arXiv:1801.04381.
    """
    input_shape = _building.check_image_shape(input_shape)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    check_positive("width", width)
    stages = _checked_stages(stages)
    last_filters = check_positive_integer("last_filters", last_filters)
    if small_strides is None:
        small_strides = min(input_shape[:2]) < _SMALL
    check_optional_boolean("small_strides", small_strides)
    check_fraction("dropout", dropout)

    def convolved(inputs: Any, layer: keras.layers.Layer) -> Any:
        outputs = _classifiers.normalized(normalization, layer, inputs)
        return layers.ReLU(_HIGHEST, name=f"{layer.name}_activation")(outputs)

    options = {"padding": "same", "use_bias": not normalization.batch}
    inputs = keras.Input(input_shape, name="image")
    strides = 1 if small_strides else 2
    first = layers.Conv2D(_divisible(32 * width), 3, strides, name="conv1", **options)
    outputs = convolved(inputs, first)
    number = 0
    for stage, (expansion, filters, blocks, strides) in enumerate(stages, start=1):
        filters = _divisible(filters * width)
        if small_strides and stage == 2:
            strides = 1
        for block in range(blocks):
            number += 1
            prefix, shortcut = f"block{number}", outputs
            strides = strides if block == 0 else 1
            if expansion > 1:
                expanded = expansion * shortcut.shape[-1]
                expand = layers.Conv2D(expanded, 1, name=f"{prefix}_expand", **options)
                outputs = convolved(outputs, expand)
            depthwise = layers.DepthwiseConv2D(3, strides, name=f"{prefix}_depthwise", **options)
            outputs = convolved(outputs, depthwise)
            project = layers.Conv2D(filters, 1, name=f"{prefix}_project", **options)
            outputs = _classifiers.normalized(normalization, project, outputs)
            if strides == 1 and shortcut.shape[-1] == filters:
                outputs = layers.Add(name=f"{prefix}_add")([shortcut, outputs])
    last_filters = _divisible(last_filters * max(width, 1.0))
    last = layers.Conv2D(last_filters, 1, name="conv2", **options)
    outputs = convolved(outputs, last)
    outputs = layers.GlobalAveragePooling2D(name="pool")(outputs)
    if dropout:
        outputs = layers.Dropout(dropout, name="dropout")(outputs)
    outputs = layers.Dense(classes, name="head")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def _divisible(filters: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor that is at least nine tenths of the filters."""
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * filters else rounded + divisor


def _checked_stages(stages: Any) -> tuple[tuple[int, ...], ...]:
    rows = tuple(stages) if isinstance(stages, (list, tuple)) else ()
    if not rows or not all(
        isinstance(row, (list, tuple))
        and len(row) == 4
        and all(is_integer(number) and number > 0 for number in row)
        for row in rows
    ):
        raise ValueError(
            "Argument `stages` must be a sequence of tuples of four positive integers: expansion, "
            f"filters, number of blocks, and stride. Received: stages={stages!r}"
        )
    return tuple(tuple(int(number) for number in row) for row in rows)
