"""Kernels of a model computed before its layers run: at once, or once for several calls."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.layers._shared_kernels import share_kernels


def group(model: keras.Model) -> keras.Model:
    """Let a model compute the norms of all its kernels at once, whenever it is called.

    A step of a deep network measures many small kernels, and each operation has a price of its
    own, above all the first time, when TensorFlow or JAX traces the step. Together they take far
    fewer operations; see the measurements in `docs/performance.md`.

    Guarantee: the same outputs, gradients and vectors, up to rounding. A wrapper that the model
    calls several times is measured once per call of the model, and its vectors take one step, not
    several. Wrappers stay what they are: called by themselves they measure for themselves. Nothing
    of it is saved: group a model again that was loaded, cloned, wrapped or folded.

    Args:
        model: Built model with wrappers that divide by a norm (`SpectralNorm`,
            `BidirectionalSpectralNorm`, `MeanSpectralNorm`), in it, in models nested in it, or in
            other layers. It changes in place.

    Returns:
        The model.

    Raises:
        ValueError: If the model is not a built model, or has no such wrapper.

    Example:

    >>> from tfspecnorm import layers
    >>> dense = [layers.SpectralNorm(keras.layers.Dense(4)) for _ in range(3)]
    >>> model = group(keras.Sequential([keras.Input((4,)), *dense]))
    """
    check_model(model)
    wrappers = [
        part for part in wrappers_in(model) if part.built and isinstance(part, DividedByNorm)
    ]
    if not wrappers:
        raise ValueError(
            "Argument `model` must have layers wrapped by `SpectralNorm`, "
            "`BidirectionalSpectralNorm` or `MeanSpectralNorm`. "
            f"Received: model '{model.name}' without any"
        )
    if not is_grouped(model):
        # An attribute of the object, which no file and no copy holds.
        model.call = _GroupedCall(model.call, wrappers)
    return model


def is_grouped(model: keras.Model) -> bool:
    """Whether a model computes the norms of its kernels at once."""
    return isinstance(model.call, _GroupedCall)


class _GroupedCall:
    """The `call` of a grouped model."""

    def __init__(self, call: Any, wrappers: list[DividedByNorm]) -> None:
        functools.update_wrapper(self, call)
        self._call, self._wrappers = call, wrappers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with share_kernels(self._wrappers, bool(kwargs.get("training")), together=True):
            return self._call(*args, **kwargs)


@keras.saving.register_keras_serializable(package="tfspecnorm")
class GroupedModel(keras.Model):
    """Loads files of version 0.1, which hold a class for what `group` does."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        return group(keras.Model.from_config(config, custom_objects))


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
    with share_kernels(wrappers, training, is_grouped(model), _entering_generator()):
        yield


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
