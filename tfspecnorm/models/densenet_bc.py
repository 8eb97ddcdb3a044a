"""DenseNet-BC, the deep network of the mean spectral normalization paper."""

import numbers
from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_name, check_optional_boolean, check_positive_integer
from tfspecnorm.models import _building, _classifiers, normalizations

_SMALLEST_SIZE = 4


def densenet_bc(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "spectral",
    width: float = 1.0,
    depth: int = 100,
    growth: int = 12,
    compression: float = 0.8,
    bottleneck: int = 4,
    use_bias: bool | None = None,
    negative_slope: float | None = None,
    name: str = "densenet_bc",
) -> keras.Model:
    """DenseNet-BC: three blocks of layers, each of which reads what all before it have made.

        3×3 of 24 filters - block - transition - block - transition - block - mean - dense

    A layer reads all channels so far by a 1×1 convolution of 4·12 filters and adds twelve
    channels by a 3×3 convolution. A transition is a 1×1 convolution to 0.8 of the channels,
    rounded down, and a 2×2 average pooling. An activation stands before every convolution but
    the first, and before the mean over positions. The head is a plain layer in every variant;
    of the authors' networks one has it normalized and one has not.

    With `"batch"`, normalization and activation come where channels are *read*, anew for each
    reader, and stay operators of the exported file. In the other variants the outputs of each
    convolution are centred, biased and activated once, where they are *made*. That is the same
    function as an activation in front of every reader, for less memory, and the file has no
    operator of a normalization.

    Trainable parameters with the defaults:

    | `normalization` | convolution             | parameters | `use_bias=False` |
    | --------------- | ----------------------- | ---------- | ---------------- |
    | `"batch"`       | no bias                 | 1,009,730  | 1,009,730        |
    | `"weight"`      | with a bias and a gain  | 985,506    | 982,139          |
    | all others      | with a bias             | 982,139    | 978,772          |

    One offset wherever batch normalization has one, for each reader of a channel, would be
    994,251 parameters: what the paper's text describes, while the authors' code has batch
    normalization in the blocks of every network.

    Args:
        input_shape: Height, width (at least 4 each) and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that `growth` is multiplied with.
        depth: Number of layers, 6·n + 4 with n layers of two convolutions in each block.
        growth: Positive integer k, the channels that a layer adds. The first convolution has
            2·k filters.
        compression: Number in (0, 1], the part of the channels that a transition keeps.
        bottleneck: Positive integer, filters of the 1×1 convolutions in units of k.
        use_bias: Whether convolutions have a bias. Defaults to all variants but `"batch"`. With
            `False`, `MeanSpectralNorm` still makes a bias of its own.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1`,
        `block1_layer1_bottleneck`, `block1_layer1_conv` and so on, `transition1_conv`, `head`;
        the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = densenet_bc(depth=10, growth=4)
    >>> model.get_layer("block3_layer1_concatenation").output.shape
    (None, 8, 8, 14)

    Reference: Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional
    Networks", 2016, arXiv:1608.06993; for the sizes, Subramanian, Chong, "Mean Spectral
    Normalization of Deep Neural Networks for Embedded Automation", 2019, arXiv:1907.04003.
    """
    input_shape = _building.check_image_shape(input_shape, _SMALLEST_SIZE)
    classes = check_positive_integer("classes", classes)
    normalization = normalizations.get(normalization)
    layers_per_block = _classifiers.blocks_of(depth, per_block=6, others=4)
    growth = _building.filters_of(check_positive_integer("growth", growth), width)
    bottleneck = check_positive_integer("bottleneck", bottleneck)
    _check_compression(compression)
    if use_bias is None:
        use_bias = not normalization.batch
    check_optional_boolean("use_bias", use_bias)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)

    def read(channels: Any, reader: str) -> Any:
        if not normalization.batch:
            return channels
        channels = normalization.follow(channels, f"{reader}_normalization")
        return _building.activation(negative_slope, f"{reader}_activation")(channels)

    def made(channels: Any, maker: str) -> Any:
        if normalization.batch:
            return channels
        return _building.activation(negative_slope, f"{maker}_activation")(channels)

    def convolved(inputs: Any, filters: int, size: int, layer_name: str) -> Any:
        layer = layers.Conv2D(filters, size, padding="same", use_bias=use_bias, name=layer_name)
        return normalization.wrap(layer)(inputs)

    parts = (("bottleneck", bottleneck * growth, 1), ("conv", growth, 3))
    inputs = keras.Input(input_shape, name="image")
    channels = made(convolved(inputs, 2 * growth, 3, "conv1"), "conv1")
    for block in range(1, 4):
        for number in range(1, layers_per_block + 1):
            prefix, added = f"block{block}_layer{number}", channels
            for part, filters, size in parts:
                layer_name = f"{prefix}_{part}"
                added = convolved(read(added, layer_name), filters, size, layer_name)
                added = made(added, layer_name)
            channels = layers.Concatenate(name=f"{prefix}_concatenation")([channels, added])
        if block < 3:
            prefix = f"transition{block}"
            kept = max(1, int(channels.shape[-1] * compression))
            channels = convolved(read(channels, f"{prefix}_conv"), kept, 1, f"{prefix}_conv")
            channels = layers.AveragePooling2D(2, name=f"{prefix}_pool")(channels)
            channels = made(channels, f"{prefix}_conv")
    outputs = layers.GlobalAveragePooling2D(name="pool")(read(channels, "head"))
    outputs = layers.Dense(classes, name="head")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def _check_compression(compression: Any) -> None:
    if (
        not isinstance(compression, numbers.Real)
        or isinstance(compression, bool)
        or not 0 < compression <= 1
    ):
        raise ValueError(
            "Argument `compression` must be a number in (0, 1]. "
            f"Received: compression={compression!r}"
        )
