"""ResNet-34 of depthwise-separable convolutions, whose layers are as large as one says."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tfspecnorm._util.arguments import check_name, check_positive_integer
from tfspecnorm.models import _building, _classifiers, normalizations

_FILTERS = 64
_SCALE = 5.0
_SCALED = ("scaled-spectral", "bidirectional-scaled")


def resnet_separable(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "scaled-spectral",
    width: float = 1.0,
    blocks: Sequence[int] = (3, 4, 6, 3),
    scale: float | None = None,
    negative_slope: float | None = None,
    name: str = "resnet_separable",
) -> keras.Model:
    """ResNet-34 for small images, with a depthwise-separable layer for every convolution.

        64 filters - 3 blocks of 64 - 4 of 128 - 6 of 256 - 3 of 512 - mean - dense

    A separable layer is a 3×3 depthwise convolution without bias and a 1×1 convolution directly
    behind it. A block is activation(h + separable2(activation(separable1(h)))). The first block
    of each stage but the first has stride 2; there, or where channels change, the shortcut is a
    1×1 convolution with that stride, normalized as the others. With the defaults there are 33
    separable layers, 3 of them with stride 2.

    | `normalization`   | depthwise         | 1×1, shortcut             | head              |
    | ----------------- | ----------------- | ------------------------- | ----------------- |
    | `"none"`          | plain             | plain                     | plain             |
    | `"batch"`         | plain             | then `BatchNormalization` | plain             |
    | `"weight"`        | in `WeightNorm`   | in `WeightNorm`           | plain             |
    | `"mean-spectral"` | in `SpectralNorm` | in `MeanSpectralNorm`     | in `SpectralNorm` |
    | the scaled ones   | without the scale | with the scale            | with the scale    |
    | others            | in their wrapper  | in their wrapper          | in their wrapper  |

    Trainable parameters with the defaults: 2,592,741; with `"batch"` 2,601,253, with
    `"weight"` 2,608,360.

    Guarantee: with `"scaled-spectral"` each separable layer, each shortcut and the head are at
    most `scale`-Lipschitz for images of `input_shape`, up to what the 1×1 kernels' power
    iterations have not reached yet; the depthwise kernels' norm is an upper bound.

    The paper's other form, a factor K·tanh(s) with s learned, is the normalization
    `Normalization("soft", lambda layer: SpectralNorm(layer, scale=Tanh(5.0)),
    unscaled=SpectralNorm)`.

    Args:
        input_shape: Height, width and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        blocks: Positive number of blocks in each stage; each stage has twice the filters of the
            one before.
        scale: Positive number K for `"scaled-spectral"` and `"bidirectional-scaled"`; no other
            normalization takes it. Defaults to 5, the paper's best on CIFAR-10.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1_depthwise`,
        `conv1_pointwise`, `stage1_block1_conv1_depthwise` and so on, `stage2_block1_shortcut`,
        `head`; the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = resnet_separable(width=0.25, blocks=(1, 1))
    >>> model.get_layer("stage2_block1_add").output.shape
    (None, 16, 16, 32)

    Reference: Runkel, Etmann, Möller, Schönlieb, "Depthwise Separable Convolutions Allow for
    Fast and Memory-Efficient Spectral Normalization", 2021, arXiv:2102.06496.
    """
    input_shape = _building.check_image_shape(input_shape)
    classes = check_positive_integer("classes", classes)
    if scale is None and isinstance(normalization, str) and normalization in _SCALED:
        scale = _SCALE
    normalization = normalizations.get(normalization, scale)
    blocks = _classifiers.check_positive_integers("blocks", blocks)
    negative_slope = _classifiers.slope_of(normalization, negative_slope)

    def pointwise(inputs: Any, filters: int, strides: int, layer_name: str) -> Any:
        use_bias = not normalization.batch
        layer = layers.Conv2D(filters, 1, strides, use_bias=use_bias, name=layer_name)
        return _classifiers.normalized(normalization, layer, inputs)

    def separable(inputs: Any, filters: int, strides: int, prefix: str) -> Any:
        depthwise = layers.DepthwiseConv2D(
            3, strides, padding="same", use_bias=False, name=f"{prefix}_depthwise"
        )
        outputs = normalization.wrap_unscaled(depthwise)(inputs)
        return pointwise(outputs, filters, 1, f"{prefix}_pointwise")

    def activated(inputs: Any, prefix: str) -> Any:
        return _building.activation(negative_slope, f"{prefix}_activation")(inputs)

    def activated_sum(inputs: Any, prefix: str) -> Any:
        if not negative_slope:
            return activated(inputs, prefix)
        # On a CPU TensorFlow makes one operation of a convolution, its bias, a sum and a leaky
        # ReLU, with a slope of 0.2 whatever the layer says.
        scaled = layers.Rescaling(negative_slope, name=f"{prefix}_slope")(inputs)
        return layers.Maximum(name=f"{prefix}_activation")([inputs, scaled])

    inputs = keras.Input(input_shape, name="image")
    filters = _building.filters_of(_FILTERS, width)
    outputs = activated(separable(inputs, filters, 1, "conv1"), "conv1")
    for stage, count in enumerate(blocks, start=1):
        filters = _building.filters_of(_FILTERS * 2 ** (stage - 1), width)
        for number in range(1, count + 1):
            prefix, shortcut = f"stage{stage}_block{number}", outputs
            strides = 2 if stage > 1 and number == 1 else 1
            outputs = separable(outputs, filters, strides, f"{prefix}_conv1")
            outputs = activated(outputs, f"{prefix}_conv1")
            outputs = separable(outputs, filters, 1, f"{prefix}_conv2")
            if strides > 1 or shortcut.shape[-1] != filters:
                shortcut = pointwise(shortcut, filters, strides, f"{prefix}_shortcut")
            outputs = layers.Add(name=f"{prefix}_add")([shortcut, outputs])
            outputs = activated_sum(outputs, prefix)
    outputs = layers.GlobalAveragePooling2D(name="pool")(outputs)
    outputs = _classifiers.head(normalization, classes)(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))
