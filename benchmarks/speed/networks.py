"""The networks, written once for all frameworks.

A network is a function of `layers`, what a framework makes layers with, and `x`, its inputs. An
activation follows a convolution or dense layer with `activate=True`; the contender decides what
normalizes the layer. Images have their channels where the framework has them.
"""

from typing import Any

CLASSES = 10
IMAGE = (32, 32, 3)
TOKENS, WIDTH, BLOCKS = 64, 128, 12
# Expansion, filters, repeats and stride of the blocks, for images of 32 pixels.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def vgg7(layers: Any, x: Any) -> Any:
    """Six 3×3 convolutions, four poolings, one dense layer."""
    for number, filters in enumerate((32, 32, 64, 64, 128, 256)):
        x = layers.convolution(x, filters, 3, activate=True)
        if number not in (0, 2):
            x = layers.pool(x)
    return layers.dense(layers.flat(x), CLASSES)


def densenet_bc(layers: Any, x: Any, depth: int = 100, growth: int = 12) -> Any:
    """DenseNet-BC: three blocks of 1×1 and 3×3 convolutions on all that came before."""
    x = layers.convolution(x, 2 * growth, 3, activate=True)
    channels = 2 * growth
    for block in range(3):
        for _ in range((depth - 4) // 6):
            new = layers.convolution(x, 4 * growth, 1, activate=True)
            new = layers.convolution(new, growth, 3, activate=True)
            x = layers.joined(x, new)
            channels += growth
        if block < 2:
            channels = int(0.8 * channels)
            x = layers.pool(layers.convolution(x, channels, 1, activate=True))
    return layers.dense(layers.mean(x), CLASSES)


def mobilenet_v2(layers: Any, x: Any, width: float = 0.5) -> Any:
    """MobileNetV2 for small images: pointwise and depthwise convolutions."""
    x = layers.convolution(x, round(32 * width), 3, activate=True)
    channels = round(32 * width)
    for expansion, filters, repeats, strides in STAGES:
        filters = round(filters * width)
        for number in range(repeats):
            stride = strides if number == 0 else 1
            y = x
            if expansion > 1:
                y = layers.convolution(y, expansion * channels, 1, activate=True)
            y = layers.depthwise(y, expansion * channels, 3, stride)
            y = layers.convolution(y, filters, 1)
            x = layers.sum(x, y) if stride == 1 and filters == channels else y
            channels = filters
    x = layers.convolution(x, 1280, 1, activate=True)
    return layers.dense(layers.mean(x), CLASSES)


def mobilenet_v2_full(layers: Any, x: Any) -> Any:
    """MobileNetV2 of full width."""
    return mobilenet_v2(layers, x, 1.0)


def transformer(layers: Any, x: Any) -> Any:
    """Twelve encoder blocks of width 128 on 64 tokens, with one head."""
    for _ in range(BLOCKS):
        y = layers.layer_normalization(x)
        query, key, value = (layers.dense(y, WIDTH) for _ in range(3))
        y = layers.attention(query, key, value)
        x = layers.sum(x, layers.dense(y, WIDTH))
        y = layers.dense(layers.layer_normalization(x), 4 * WIDTH, activate=True)
        x = layers.sum(x, layers.dense(y, WIDTH))
    return layers.dense(layers.mean_of_tokens(layers.layer_normalization(x)), CLASSES)


NETWORKS = {
    "vgg7": vgg7,
    "densenet_bc": densenet_bc,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v2_full": mobilenet_v2_full,
    "transformer": transformer,
}


def input_shape(network: str) -> tuple[int, ...]:
    """Shape of a sample, channels last."""
    return (TOKENS, WIDTH) if network == "transformer" else IMAGE
