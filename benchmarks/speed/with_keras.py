"""Keras 2 and Keras 3: networks, contenders, training steps. Knows no peer by itself."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.speed import networks

Wrap = Callable[[Any], Any]
LEARNING_RATE = 1e-3


class Layers:
    """Makes layers on symbolic tensors, wrapped or followed by batch normalization.

    Args:
        wrap: Function from a convolution or dense layer to its wrapper.
        wrap_depthwise: The same for depthwise ones.
        batch: Whether batch normalization follows.
    """

    def __init__(self, wrap: Wrap, wrap_depthwise: Wrap, batch: bool = False) -> None:
        self._wrap, self._wrap_depthwise, self._batch = wrap, wrap_depthwise, batch

    def _followed(self, x: Any, activate: bool) -> Any:
        if self._batch:
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
        return keras.layers.ReLU()(x) if activate else x

    def convolution(self, x: Any, filters: int, size: int, activate: bool = False) -> Any:
        layer = keras.layers.Conv2D(filters, size, padding="same", use_bias=not self._batch)
        return self._followed(self._wrap(layer)(x), activate)

    def depthwise(self, x: Any, channels: int, size: int, strides: int) -> Any:
        layer = keras.layers.DepthwiseConv2D(
            size, strides, padding="same", use_bias=not self._batch
        )
        return self._followed(self._wrap_depthwise(layer)(x), True)

    def dense(self, x: Any, units: int, activate: bool = False) -> Any:
        x = self._wrap(keras.layers.Dense(units))(x)
        if self._batch and units != networks.CLASSES:
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
        return keras.layers.ReLU()(x) if activate else x

    def pool(self, x: Any) -> Any:
        return keras.layers.AveragePooling2D(2)(x)

    def mean(self, x: Any) -> Any:
        return keras.layers.GlobalAveragePooling2D()(x)

    def mean_of_tokens(self, x: Any) -> Any:
        return keras.layers.GlobalAveragePooling1D()(x)

    def flat(self, x: Any) -> Any:
        return keras.layers.Flatten()(x)

    def sum(self, x: Any, y: Any) -> Any:
        return keras.layers.Add()([x, y])

    def joined(self, x: Any, y: Any) -> Any:
        return keras.layers.Concatenate()([x, y])

    def layer_normalization(self, x: Any) -> Any:
        return keras.layers.LayerNormalization()(x)

    def attention(self, query: Any, key: Any, value: Any) -> Any:
        return keras.layers.Attention()([query, value, key])


def built(network: str, wrap: Wrap, wrap_depthwise: Wrap, batch: bool = False) -> Any:
    """The model of a network, with layers wrapped."""
    inputs = keras.Input(networks.input_shape(network))
    layers = Layers(wrap, wrap_depthwise, batch)
    return keras.Model(inputs, networks.NETWORKS[network](layers, inputs))


def batch_of(network: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """A fixed batch of inputs and labels."""
    shape = networks.IMAGE if network not in networks.NETWORKS else networks.input_shape(network)
    inputs = np.random.default_rng(0).standard_normal((batch, *shape)).astype("float32")
    return inputs, (np.arange(batch) % networks.CLASSES).astype("int32")


def compile_model(model: Any, compiled: bool | str = "auto") -> None:
    """Give a model the loss and the optimizer of all training steps."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss, jit_compile=compiled)


def training_step(model: Any, network: str, batch: int, compiled: bool) -> Callable[[], Any]:
    """A training step on a fixed batch, by the model's own `train_on_batch`."""
    inputs, labels = batch_of(network, batch)
    compile_model(model, compiled)
    return lambda: model.train_on_batch(inputs, labels)


def inference(model: Any, network: str, batch: int) -> Callable[[], Any]:
    """A prediction for a fixed batch."""
    inputs, _ = batch_of(network, batch)
    return lambda: model.predict_on_batch(inputs)
