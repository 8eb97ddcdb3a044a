"""Converge the vectors of all wrappers in a model."""

import keras

from tfspecnorm.layers._listing import wrappers_in


def warm_up(model: keras.Model) -> None:
    """Converge the vectors of every wrapper in a model to its kernels as they are now.

    Call it before training goes on with kernels that were loaded or assigned from elsewhere, or
    averaged: only training calls use the vectors.

    Args:
        model: Built Keras model or layer.

    Raises:
        ValueError: If there is no wrapper in it or one is not built.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm import layers
    >>> layer = layers.SpectralNorm(keras.layers.Dense(4))
    >>> model = keras.Sequential([keras.Input((3,)), layer])
    >>> layer.layer.set_weights([np.ones((3, 4)), np.zeros(4)])
    >>> warm_up(model)
    >>> round(float(layer.sigma()["kernel"]), 4)
    3.4641
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"Argument `model` must be a Keras model. Received: model={model!r}")
    wrappers = wrappers_in(model)
    if not wrappers:
        raise ValueError(
            "Argument `model` must hold a layer wrapped by `tfspecnorm`. "
            f"Received: model '{model.name}' without one"
        )
    for layer in wrappers:
        layer.warm_up()
