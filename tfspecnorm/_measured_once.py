"""One measurement of a model's kernels for several of its calls."""

import contextlib
from collections.abc import Iterator

import keras

from tfspecnorm._checks import check_model
from tfspecnorm._grouped_model import GroupedModel
from tfspecnorm.kernels.holders import layers_in
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._together import measured_ahead
from tfspecnorm.layers.weight_norm import WeightNorm


@contextlib.contextmanager
def measured_once(model: keras.Model, training: bool = True) -> Iterator[None]:
    """A context in which all calls of a model compute with the very same kernels.

    A discriminator is called twice in each of its updates, on real and on generated images:

        D(x; W̄), D(G(z); W̄)  with  W̄ = s·W/σ(W)

    On its own each call measures its kernels, and the second one goes on from the vectors of the
    first. In this context σ and W̄ are computed when it is entered, once; with `WeightNorm` the
    lengths of the vectors v and W̄ = g·v/‖v‖.

    Guarantee: each call has the outputs and gradients of a first call. In all of them together
    the vectors of power iterations take the step of one, also those of a layer that the model
    itself calls several times. A call in the other mode measures for itself.

    Kernels are taken as they are when the context is entered: leave it before they are changed.
    Enter it inside of what is differentiated, as a `tf.GradientTape` or the function that
    `jax.grad` is given. On PyTorch go backward once, from the sum of the losses. A function that
    is traced inside, such as that of `predict`, measures for itself, and so does a call that is
    given other weights. On JAX that is what `stateless_call` does: there, enter the context in a
    `keras.StatelessScope` that maps the weights, and call the model itself. (On TensorFlow
    `stateless_call` does not belong in it: other weights are not noticed.)

    Args:
        model: Built model with wrappers, in it, in models nested in it, or in other layers.
        training: Whether the calls are in training mode.

    Raises:
        ValueError: If the model is not a built model.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm import layers
    >>> head = layers.SpectralNorm(keras.layers.Dense(1))
    >>> discriminator = keras.Sequential([keras.Input((2,)), head])
    >>> real, fake = np.ones((4, 2), "float32"), np.zeros((4, 2), "float32")
    >>> with measured_once(discriminator):
    ...     logits = [discriminator(images, training=True) for images in (real, fake)]

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018,
    arXiv:1802.05957.
    """
    check_model(model)
    together = isinstance(model, GroupedModel)
    kinds = (DividedByNorm, WeightNorm)
    wrappers = [part for part in layers_in(model) if isinstance(part, kinds) and part.built]
    with measured_ahead(wrappers, training, together, divided=True):
        yield
