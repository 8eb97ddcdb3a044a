"""One measurement of a model's kernels for several of its calls."""

import contextlib
from collections.abc import Iterator

import keras

from tfspecnorm._checks import check_model
from tfspecnorm._grouped_model import GroupedModel, measured_in
from tfspecnorm.layers._together import measured_ahead


@contextlib.contextmanager
def measured_once(model: keras.Model, training: bool = True) -> Iterator[None]:
    """A context in which all calls of a model compute with the very same kernels.

    A discriminator is called twice in each of its updates, on real and on generated images:

        D(x; W̄), D(G(z); W̄)  with  W̄ = s·W/σ(W)

    On its own each call measures its kernels, and the second one goes on from the vectors of the
    first. In this context σ and W̄ are computed when it is entered, once.

    Guarantee: the same outputs and gradients as calls of their own with these vectors. In all of
    its calls together the vectors take the step of one. Weight normalization has no vectors and
    is not changed. A call in the other mode measures for itself.

    Kernels are taken as they are when the context is entered: leave it before they are changed.
    Enter it inside of what is differentiated: a `tf.GradientTape`, the function that `jax.grad`
    is given. On PyTorch go backward once, from the sum of the losses.

    Args:
        model: Built model with wrappers that divide by a norm, in it, in models nested in it, or
            in other layers.
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
    with measured_ahead(measured_in(model), training, together, divided=True):
        yield
