"""The contenders on TensorFlow 2.15: TensorFlow Addons and deel-lip."""

from collections.abc import Callable
from typing import Any

import deel.lip.layers
import tensorflow as tf
import tensorflow_addons as addons

from benchmarks.speed import with_keras


def plain(layer: Any) -> Any:
    """The layer as it is."""
    return layer


def _spectral_layer_of_deel(layer: Any) -> Any:
    """deel-lip has layers of its own; they know stride 1 alone."""
    config = layer.get_config()
    if isinstance(layer, tf.keras.layers.Dense):
        return deel.lip.layers.SpectralDense(config["units"])
    return deel.lip.layers.SpectralConv2D(config["filters"], config["kernel_size"], padding="same")


# TensorFlow Addons and deel-lip refuse depthwise layers.
CONTENDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], bool]] = {
    "none": (plain, plain, False),
    "tfa SN, not depthwise": (addons.layers.SpectralNormalization, plain, False),
    "tfa WN, not depthwise": (addons.layers.WeightNormalization, plain, False),
    "deel-lip, not depthwise": (_spectral_layer_of_deel, plain, False),
}


def model(network: str, contender: str) -> Any:
    """The model of a network with a contender's normalization."""
    tf.keras.utils.set_random_seed(0)
    return with_keras.built(network, *CONTENDERS[contender])


training_step = with_keras.training_step
inference = with_keras.inference


def folded(made: Any) -> None:
    """Not measured."""
    return None
