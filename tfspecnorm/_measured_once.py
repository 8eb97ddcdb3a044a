"""One measurement of a model's kernels for several of its calls."""

import contextlib
import inspect
from collections.abc import Iterator
from types import FrameType

import keras

from tfspecnorm._grouped_model import GroupedModel
from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers._together import measured_ahead
from tfspecnorm.layers.weight_norm import WeightNorm


@contextlib.contextmanager
def measured_once(model: keras.Model, training: bool = True) -> Iterator[None]:
    """A context in which all calls of a model compute with the very same kernels.

    A discriminator is called twice in each of its updates, on real and on generated images:

        D(x; W̄), D(G(z); W̄)  with  W̄ = s·W/σ(W)

    On its own each call measures its kernels, and the second one goes on from the vectors of the
    first. In this context σ and W̄ are computed when it is entered, once; with `WeightNorm` the
    lengths of the vectors v and W̄ = g·v/‖v‖. A wrapper of your own computes its W̄ then, too.

    Guarantee: each call has the outputs and gradients of a first call. In all of them together
    the vectors of power iterations take the step of one, also those of a layer that the model
    itself calls several times. A call in the other mode measures for itself.

    Kernels are taken as they are when the context is entered: leave it before they are changed.
    It ends when it is left, whatever else was entered or left meanwhile. A generator that enters it
    has it for itself: what is called while the generator is suspended measures for itself.
    Enter it inside of what is differentiated, as a `tf.GradientTape` or the function that
    `jax.grad` is given. On PyTorch go backward once, from the sum of the losses. A function that
    is traced inside, such as that of `predict`, measures for itself, and so does a call that is
    given other weights. On JAX that is what `stateless_call` does: there, enter the context in a
    `keras.StatelessScope` that maps the weights, and call the model itself. (On TensorFlow
    `stateless_call` does not belong in it: other weights are not noticed.)

    Args:
        model: Built model with wrappers, in it, in models nested in it, or in other layers.
        training: Whether the calls are in training mode, `True` or `False`.

    Raises:
        ValueError: If the model is not a built model with a built wrapper, or `training` is not a
            Boolean value.

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
    training = check_boolean("training", training)
    wrappers = [part for part in wrappers_in(model) if part.built]
    if not wrappers:
        raise ValueError(
            "Argument `model` must hold a built wrapper, such as "
            f"`tfspecnorm.layers.SpectralNorm`. Received: model '{model.name}' without wrappers"
        )
    apart = [wrapper for wrapper in wrappers if type(wrapper).reparameterize in _MEASURED_APART]
    others = [wrapper for wrapper in wrappers if wrapper not in apart]
    together = isinstance(model, GroupedModel)
    generator = _entering_generator()
    with measured_ahead(apart, training, together, True, others, generator):
        yield


# A subclass that computes W̄ in another way is asked for W̄.
_MEASURED_APART = (DividedByNorm.reparameterize, WeightNorm.reparameterize)


def _entering_generator() -> int | None:
    """The `id` of the frame of the generator whose `with` statement this is, or `None`.

    Functions that `contextlib` makes context managers of are generators, too, and are suspended for
    the time of their block. It is their caller's block.
    """
    frame = inspect.currentframe()
    frame = None if frame is None else frame.f_back
    while frame is not None:
        if _is_generator(frame):
            if not _is_of_contextlib(frame.f_back):
                return id(frame)
        elif not _is_of_contextlib(frame):
            return None
        frame = frame.f_back
    return None


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))


def _is_of_contextlib(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename == contextlib.__file__
