"""Methods of a wrapped layer that would replace its kernels."""

import functools
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


def _refuse(method: str, received: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise ValueError(
        f"Method `{method}` must not be called on a wrapper or on a layer that is wrapped: "
        f"{_METHODS[method]}. Received: {received}"
    )
