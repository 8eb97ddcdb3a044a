"""MobileNetV2 of Keras to be timed: plain, and with what is not depthwise normalized."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import tfspecnorm


def is_normalized(layer: keras.layers.Layer) -> bool:
    """Every dense layer and every convolution that is not depthwise."""
    return isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)


def plain() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.5, classes=10
    )


def normalized_by_keras() -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        copy = type(layer).from_config(layer.get_config())
        return keras.layers.SpectralNormalization(copy) if is_normalized(layer) else copy

    return keras.models.clone_model(plain(), clone_function=clone)


def normalized_by_tfspecnorm(**options: Any) -> keras.Model:
    def wrapper(layer: keras.layers.Layer) -> keras.layers.Layer:
        return tfspecnorm.layers.SpectralNorm(layer, **options)

    return tfspecnorm.wrap(plain(), wrapper, where=is_normalized)


def training_step(model: keras.Model) -> Callable[[], None]:
    """One step of stochastic gradient descent as a graph, on a fixed batch of 32 images."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = tf.constant(random.standard_normal((32, 32, 32, 3)).astype("float32"))
    labels = tf.constant(np.arange(32) % 10)
    optimizer = keras.optimizers.SGD(0.001)
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    optimizer.build(model.trainable_variables)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply(gradients, model.trainable_weights)
        return loss

    return lambda: step().numpy()
