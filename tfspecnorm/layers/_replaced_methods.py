"""Methods of wrapped layers that Keras would call with what wrappers cannot take."""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import keras

# Keras quantizes the layers within a model, not their wrapper, and drops the kernel first. So each
# layer has to refuse by itself.
_METHODS = {
    "quantize": "fold first (`tfspecnorm.fold`), then quantize the plain model",
    "enable_lora": "fold first (`tfspecnorm.fold`), then enable LoRA in the plain model",
}


def refuse_other_kernels(layer: keras.layers.Layer) -> None:
    """Make the methods of a layer that replace its kernels raise a `ValueError`."""
    for method in _METHODS:
        if hasattr(layer, method):
            received = f"layer={type(layer).__name__} named '{layer.name}'"
            setattr(layer, method, functools.partial(_refuse, method, received))


def never_recompute(layer: keras.layers.Layer) -> None:
    """Let a layer run once, also if it was made in a `keras.RematScope`.

    TensorFlow would run it again for its gradient, with the stored kernels in place of those that
    it was given, and vectors would move twice.
    """
    if hasattr(layer, "rematerialized_call"):
        layer.rematerialized_call = _as_it_is


def _as_it_is(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    return function


def _refuse(method: str, received: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise ValueError(
        f"Method `{method}` must not be called on a wrapper or on a layer that is wrapped: "
        f"{_METHODS[method]}. Received: {received}"
    )
