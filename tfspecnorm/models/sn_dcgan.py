"""SN-DCGAN, the convolutional generator and discriminator of the spectral normalization papers."""

from typing import Any, NamedTuple

import keras
from keras import initializers, layers

from tfspecnorm._util.arguments import (
    check_fraction,
    check_name,
    check_positive_integer,
    is_integer,
)
from tfspecnorm.models import _building, normalizations

STANDARD_DEVIATION = 0.02
# Of batch normalization.
_EPSILON = 1e-5
# Filters, kernel size and stride of each convolution of the discriminator, and whether
# `MeanSpectralNorm` takes a mean from its outputs.
_CONVOLUTIONS = (
    (64, 3, 1, False),
    (64, 4, 2, False),
    (128, 3, 1, False),
    (128, 4, 2, True),
    (256, 3, 1, False),
    (256, 4, 2, True),
    (512, 3, 1, True),
)


class Networks(NamedTuple):
    """The two networks of a generative adversarial network."""

    generator: keras.Model
    discriminator: keras.Model


def sn_dcgan_generator(
    size: int = 32,
    channels: int = 3,
    latent_size: int = 128,
    normalization: Any = "batch",
    width: float = 1.0,
    name: str = "generator",
) -> keras.Model:
    """Generator of SN-DCGAN: a dense layer and four transposed convolutions.

        dense 512 - 256 (4×4, ↑2) - 128 (4×4, ↑2) - 64 (4×4, ↑2) - channels (3×3) - tanh

    The dense layer makes an image of `size` / 8 pixels in height and width. Every layer but the
    last is followed by `BatchNormalization` (with `normalization="batch"`) and a ReLU. Weights
    start from N(0, 0.02²), biases from zero.

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
        in [−1, 1], of shape `(batch, size, size, channels)`. Its layers with kernels are `dense`
        and `conv1` to `conv4`; those inside of wrappers too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> sn_dcgan_generator(size=16, width=0.25).output_shape
    (None, 16, 16, 3)

    References: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957. Lin, Sekar, Fanti, "Why Spectral Normalization
    Stabilizes GANs: Analysis and Improvements", 2021, arXiv:2009.02773.
    """
    size = check_size(size)
    channels = check_positive_integer("channels", channels)
    latent_size = check_positive_integer("latent_size", latent_size)
    normalization = normalizations.get(normalization)
    use_bias = not normalization.batch

    def activated(outputs: Any, number: int) -> Any:
        outputs = normalization.follow(outputs, f"normalization{number}", epsilon=_EPSILON)
        return layers.ReLU(name=f"activation{number}")(outputs)

    inputs = keras.Input((latent_size,), name="latent")
    small, filters = size // 8, _building.filters_of(512, width)
    dense = layers.Dense(
        small * small * filters, use_bias=use_bias, kernel_initializer=_normal(), name="dense"
    )
    outputs = normalization.wrap(dense)(inputs)
    outputs = layers.Reshape((small, small, filters), name="reshape")(outputs)
    outputs = activated(outputs, 1)
    for number, filters in enumerate((256, 128, 64), start=1):
        convolution = layers.Conv2DTranspose(
            _building.filters_of(filters, width),
            4,
            strides=2,
            padding="same",
            use_bias=use_bias,
            kernel_initializer=_normal(),
            name=f"conv{number}",
        )
        outputs = activated(normalization.wrap(convolution)(outputs), number + 1)
    last = layers.Conv2DTranspose(
        channels, 3, padding="same", kernel_initializer=_normal(), name="conv4"
    )
    outputs = normalization.wrap_linear(last)(outputs)
    outputs = layers.Activation("tanh", name="tanh")(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def sn_dcgan_discriminator(
    size: int = 32,
    channels: int = 3,
    normalization: Any = "spectral",
    width: float = 1.0,
    negative_slope: float = 0.1,
    name: str = "discriminator",
) -> keras.Model:
    """Discriminator of SN-DCGAN: seven convolutions and a dense layer, all of them normalized.

        64 - 64 (↓2) - 128 - 128 (↓2) - 256 - 256 (↓2) - 512 - dense 1

    Convolutions with ↓2 are 4×4 with stride 2, the others 3×3, all with "same" padding and a
    leaky ReLU. In this layout the 3×3 convolutions widen; other code of the same name has
    64, 128 (↓2), 128, 256 (↓2), 256, 512 (↓2), 512, where the 4×4 convolutions do. Convolutions
    start from a truncated N(0, 0.02²), the dense layer from N(0, 0.02²), biases from zero.

    | `normalization`   | convolutions                                      | dense layer  |
    | ----------------- | ------------------------------------------------- | ------------ |
    | `"none"`          | plain                                             | plain        |
    | `"batch"`         | `BatchNormalization` after all but the first      | plain        |
    | `"mean-spectral"` | the last two with ↓2 and the last: MSN; others SN | SN           |
    | another name      | in the wrapper                                    | in it too    |

    Args:
        size: Height and width of the images in pixels, a positive multiple of 8.
        channels: Positive integer, channels of the images.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        negative_slope: Slope of the activations below zero, in [0, 1); 0 for ReLU.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images, of shape `(batch, size, size, channels)`, to
        logits of shape `(batch, 1)`. Its layers with kernels are `conv1` to `conv7` and `head`;
        those inside of wrappers too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> model = sn_dcgan_discriminator(size=16, width=0.25)
    >>> model.layers[-1].layer.name, model.output_shape
    ('head', (None, 1))

    References: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957. Subramanian, Chong, "Mean Spectral
    Normalization of Deep Neural Networks for Embedded Automation", 2019, arXiv:1907.04003.
    """
    size = check_size(size)
    channels = check_positive_integer("channels", channels)
    normalization = normalizations.get(normalization)
    check_fraction("negative_slope", negative_slope)

    inputs = keras.Input((size, size, channels), name="image")
    outputs = inputs
    for number, (filters, kernel, stride, centred) in enumerate(_CONVOLUTIONS, start=1):
        followed = normalization.batch and number > 1
        convolution = layers.Conv2D(
            _building.filters_of(filters, width),
            kernel,
            strides=stride,
            padding="same",
            use_bias=not followed,
            kernel_initializer=initializers.TruncatedNormal(stddev=STANDARD_DEVIATION),
            name=f"conv{number}",
        )
        wrap = normalization.wrap if centred else normalization.wrap_linear
        outputs = wrap(convolution)(outputs)
        if followed:
            outputs = normalization.follow(outputs, f"normalization{number}", epsilon=_EPSILON)
        outputs = _building.activation(negative_slope, f"activation{number}")(outputs)
    outputs = layers.Flatten(name="flatten")(outputs)
    head = layers.Dense(1, kernel_initializer=_normal(), name="head")
    outputs = normalization.wrap_linear(head)(outputs)
    return keras.Model(inputs, outputs, name=check_name(name))


def sn_dcgan(
    size: int = 32,
    channels: int = 3,
    latent_size: int = 128,
    normalization: Any = "spectral",
    generator_normalization: Any = "batch",
    width: float = 1.0,
    negative_slope: float = 0.1,
) -> Networks:
    """Both networks of SN-DCGAN, for each other.

    Args:
        size: Height and width of the images in pixels, a positive multiple of 8.
        channels: Positive integer, channels of the images.
        latent_size: Positive integer, the length of a latent vector.
        normalization: Normalization of the discriminator, see `sn_dcgan_discriminator`.
        generator_normalization: Normalization of the generator, see `sn_dcgan_generator`.
        width: Positive number that the filters of both are multiplied with.
        negative_slope: Slope of the discriminator's activations below zero, in [0, 1).

    Returns:
        A named tuple of `generator` and `discriminator`.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> generator, discriminator = sn_dcgan(size=16, channels=1, width=0.25)
    >>> generator.output_shape == discriminator.input_shape
    True

    Reference: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957.
    """
    return Networks(
        sn_dcgan_generator(size, channels, latent_size, generator_normalization, width),
        sn_dcgan_discriminator(size, channels, normalization, width, negative_slope),
    )


def check_size(size: Any) -> int:
    """The size as an integer, or a `ValueError`."""
    if not is_integer(size) or size < 8 or size % 8:
        raise ValueError(
            f"Argument `size` must be a positive multiple of 8. Received: size={size!r}"
        )
    return int(size)


def _normal() -> initializers.Initializer:
    # One for each layer: an initializer that two layers share gives them the same numbers.
    return initializers.RandomNormal(stddev=STANDARD_DEVIATION)
