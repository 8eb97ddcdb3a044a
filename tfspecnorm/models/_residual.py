"""Residual networks for weight normalization: blocks on the raw stream, in three stages."""

from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_name, check_positive_integer
from tfspecnorm.models import _building, _classifiers, normalizations

# Strides of the first block of each stage.
_STRIDES = (1, 2, 2)


def residual_network(
    input_shape: Any,
    classes: Any,
    normalization: Any,
    filters: tuple[int, int, int, int],
    blocks: int,
    negative_slope: Any,
    normalize_ends: bool,
    name: str,
) -> keras.Model:
    """A first convolution, three stages of blocks h + conv2(activation(conv1(h))), a mean, a head.

    Args:
        input_shape: Height, width and channels of an image.
        classes: Number of logits.
        normalization: What the builders take.
        filters: Filters of the first convolution and of each stage.
        blocks: Number of blocks in each stage.
        negative_slope: Slope of the activation below zero, or `None`.
        normalize_ends: Whether batch normalization stands behind the first convolution and in
            front of the mean over positions too.
        name: Name of the model.

    Returns:
        A Functional model. `tfspecnorm.models.robust_start` goes by the names of its layers.
    """
    input_shape = _building.check_image_shape(input_shape)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)

    def convolution(number_of_filters: int, size: int, strides: int, layer_name: str) -> Any:
        # Batch normalization leaves nothing for a bias: it subtracts what one would add wherever
        # the stream is read, and the head's bias can add the rest.
        layer = layers.Conv2D(
            number_of_filters,
            size,
            strides,
            padding="same",
            use_bias=not normalization.batch,
            name=layer_name,
        )
        return normalization.wrap(layer)

    def block(stream: Any, number_of_filters: int, strides: int, prefix: str) -> Any:
        raw = stream
        stream = normalization.follow(stream, f"{prefix}_normalization1")
        branch = stream
        if normalization.batch:
            branch = _building.activation(negative_slope, f"{prefix}_activation1")(branch)
        branch = convolution(number_of_filters, 3, strides, f"{prefix}_conv1")(branch)
        branch = normalization.follow(branch, f"{prefix}_normalization2")
        branch = _building.activation(negative_slope, f"{prefix}_activation2")(branch)
        branch = convolution(number_of_filters, 3, 1, f"{prefix}_conv2")(branch)
        if strides > 1 or raw.shape[-1] != number_of_filters:
            shortcut = convolution(number_of_filters, 1, strides, f"{prefix}_shortcut")
            raw = shortcut(stream)
        return layers.Add(name=f"{prefix}_add")([raw, branch])

    inputs = keras.Input(input_shape, name="image")
    outputs = convolution(filters[0], 3, 1, "conv1")(inputs)
    if normalize_ends:
        outputs = normalization.follow(outputs, "conv1_normalization")
    for stage, (of_stage, strides) in enumerate(zip(filters[1:], _STRIDES, strict=True), start=1):
        for number in range(1, blocks + 1):
            prefix = f"stage{stage}_block{number}"
            outputs = block(outputs, of_stage, strides if number == 1 else 1, prefix)
    if normalize_ends:
        outputs = normalization.follow(outputs, "pool_normalization")
    outputs = layers.GlobalAveragePooling2D(name="pool")(outputs)
    outputs = layers.Dense(classes, name="head")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))
