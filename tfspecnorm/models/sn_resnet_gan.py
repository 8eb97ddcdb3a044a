"""The residual generator and discriminator of spectral normalization, for small images."""

from typing import Any

import keras
from keras import initializers, layers

from tfspecnorm._util.arguments import check_name, check_positive_integer
from tfspecnorm.models import _building, normalizations
from tfspecnorm.models.normalizations import Normalization
from tfspecnorm.models.sn_dcgan import Networks, check_size

# Whether each block of the discriminator after the first halves the image.
_HALVES = (True, False, False)
# Of batch normalization.
_EPSILON = 2e-5


def sn_resnet_generator(
    size: int = 32,
    channels: int = 3,
    latent_size: int = 128,
    normalization: Any = "batch",
    width: float = 1.0,
    name: str = "generator",
) -> keras.Model:
    """Residual generator: a dense layer, three blocks that double the image, a convolution.

        dense 256 - block 256 (↑2) - block 256 (↑2) - block 256 (↑2) - BN - ReLU - conv 3×3 - tanh
        block(x) = conv3(relu(bn(conv3(↑2(relu(bn(x))))))) + conv1(↑2(x))

    ↑2 repeats each pixel. The dense layer makes an image of `size` / 8 pixels in height and
    width. Weights start from a Glorot uniform distribution, in the 3×3 convolutions of the blocks
    times √2.

    Args:
        size: Height and width of the images in pixels, a positive multiple of 8.
        channels: Positive integer, channels of the images.
        latent_size: Positive integer, the length of a latent vector.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`. What wraps the layers takes the place of
            batch normalization; a `Normalization` with `batch=True` has both.
        width: Positive number that the filters are multiplied with.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from latent vectors, of shape `(batch, latent_size)`, to images
        in [−1, 1], of shape `(batch, size, size, channels)`. Its layers with kernels are `dense`,
        `block1_conv1`, `block1_conv2`, `block1_shortcut`, and so on, and `conv`.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> sn_resnet_generator(size=16, width=0.125).output_shape
    (None, 16, 16, 3)

    Reference: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957.
    """
    size = check_size(size)
    channels = check_positive_integer("channels", channels)
    latent_size = check_positive_integer("latent_size", latent_size)
    normalization = normalizations.get(normalization)
    filters, small = _building.filters_of(256, width), size // 8

    inputs = keras.Input((latent_size,), name="latent")
    dense = layers.Dense(small * small * filters, name="dense")
    outputs = normalization.wrap_linear(dense)(inputs)
    outputs = layers.Reshape((small, small, filters), name="reshape")(outputs)
    for number in range(1, 4):
        block = f"block{number}"
        larger = layers.UpSampling2D(name=f"{block}_upsampling")
        shortcut = layers.UpSampling2D(name=f"{block}_shortcut_upsampling")(outputs)
        shortcut = _shortcut(normalization, block, filters)(shortcut)
        outputs = larger(_activated(normalization, outputs, f"{block}_1"))
        outputs = _convolution(normalization, f"{block}_conv1", filters)(outputs)
        outputs = _activated(normalization, outputs, f"{block}_2")
        outputs = _convolution(normalization, f"{block}_conv2", filters)(outputs)
        outputs = layers.Add(name=f"{block}_add")([outputs, shortcut])
    outputs = _activated(normalization, outputs, "last")
    last = layers.Conv2D(channels, 3, padding="same", name="conv")
    outputs = normalization.wrap_linear(last)(outputs)
    outputs = layers.Activation("tanh", name="tanh")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def sn_resnet_discriminator(
    size: int = 32,
    channels: int = 3,
    normalization: Any = "spectral",
    width: float = 1.0,
    name: str = "discriminator",
) -> keras.Model:
    """Residual discriminator: four blocks, a sum over all positions, a dense layer without bias.

        first block (↓2) - block (↓2) - block - block - ReLU - sum - dense 1
        first block(x) = ↓2(conv3(relu(conv3(x)))) + conv1(↓2(x))
        block(x) = ↓2(conv3(relu(conv3(relu(x))))) + ↓2(conv1(x))

    ↓2 is the mean of 2×2 pixels. All blocks have 128 filters; the last two keep the size, with
    the identity as shortcut. Weights start from a Glorot uniform distribution, in the 3×3
    convolutions times √2. With `"mean-spectral"` the 3×3 convolutions are in `MeanSpectralNorm`,
    the others and the dense layer in `SpectralNorm`; with `"batch"`, `BatchNormalization` comes
    before each ReLU but the first; any other wrapper is around every layer with a kernel.

    Args:
        size: Height and width of the images in pixels, a positive multiple of 8.
        channels: Positive integer, channels of the images.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images, of shape `(batch, size, size, channels)`, to
        logits of shape `(batch, 1)`. Its layers with kernels are `block1_conv1`, `block1_conv2`,
        `block1_shortcut`, and so on, and `head`; those inside of wrappers too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = sn_resnet_discriminator(size=16, width=0.125)
    >>> model.layers[-1].layer.name, model.output_shape
    ('head', (None, 1))

    Reference: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957.
    """
    size = check_size(size)
    channels = check_positive_integer("channels", channels)
    normalization = normalizations.get(normalization)
    filters = _building.filters_of(128, width)

    inputs = keras.Input((size, size, channels), name="image")
    outputs = _convolution(normalization, "block1_conv1", filters)(inputs)
    outputs = layers.ReLU(name="block1_2_activation")(outputs)
    outputs = _convolution(normalization, "block1_conv2", filters)(outputs)
    outputs = layers.AveragePooling2D(2, name="block1_pooling")(outputs)
    shortcut = layers.AveragePooling2D(2, name="block1_shortcut_pooling")(inputs)
    shortcut = _shortcut(normalization, "block1", filters)(shortcut)
    outputs = layers.Add(name="block1_add")([outputs, shortcut])
    for number, halves in enumerate(_HALVES, start=2):
        block, shortcut = f"block{number}", outputs
        outputs = _activated(normalization, outputs, f"{block}_1")
        outputs = _convolution(normalization, f"{block}_conv1", filters)(outputs)
        outputs = _activated(normalization, outputs, f"{block}_2")
        outputs = _convolution(normalization, f"{block}_conv2", filters)(outputs)
        if halves:
            shortcut = _shortcut(normalization, block, filters)(shortcut)
            outputs = layers.AveragePooling2D(2, name=f"{block}_pooling")(outputs)
            shortcut = layers.AveragePooling2D(2, name=f"{block}_shortcut_pooling")(shortcut)
        outputs = layers.Add(name=f"{block}_add")([outputs, shortcut])
    outputs = _activated(normalization, outputs, "last")
    # The sum is the mean times the number of positions: both are layers that every exporter
    # knows.
    outputs = layers.GlobalAveragePooling2D(name="mean")(outputs)
    outputs = layers.Rescaling(float((size // 4) ** 2), name="sum")(outputs)
    head = layers.Dense(1, use_bias=False, name="head")
    outputs = normalization.wrap_linear(head)(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def sn_resnet_gan(
    size: int = 32,
    channels: int = 3,
    latent_size: int = 128,
    normalization: Any = "spectral",
    generator_normalization: Any = "batch",
    width: float = 1.0,
) -> Networks:
    """Both residual networks, for each other.

    Args:
        size: Height and width of the images in pixels, a positive multiple of 8.
        channels: Positive integer, channels of the images.
        latent_size: Positive integer, the length of a latent vector.
        normalization: Normalization of the discriminator, see `sn_resnet_discriminator`.
        generator_normalization: Normalization of the generator, see `sn_resnet_generator`.
        width: Positive number that the filters of both are multiplied with.

    Returns:
        A named tuple of `generator` and `discriminator`.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> generator, discriminator = sn_resnet_gan(size=16, channels=1, width=0.125)
    >>> generator.output_shape == discriminator.input_shape
    True

    Reference: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957.
    """
    return Networks(
        sn_resnet_generator(size, channels, latent_size, generator_normalization, width),
        sn_resnet_discriminator(size, channels, normalization, width),
    )


def _activated(normalization: Normalization, outputs: Any, name: str) -> Any:
    outputs = normalization.follow(outputs, f"{name}_normalization", epsilon=_EPSILON)
    return layers.ReLU(name=f"{name}_activation")(outputs)


def _convolution(normalization: Normalization, name: str, filters: int) -> keras.layers.Layer:
    # A Glorot start times √2 has twice the variance.
    start = initializers.VarianceScaling(2.0, mode="fan_avg", distribution="uniform")
    return normalization.wrap(
        layers.Conv2D(filters, 3, padding="same", kernel_initializer=start, name=name)
    )


def _shortcut(normalization: Normalization, block: str, filters: int) -> keras.layers.Layer:
    return normalization.wrap_linear(layers.Conv2D(filters, 1, name=f"{block}_shortcut"))
