"""Call arguments of a wrapper: those of its layer."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import tree

# Note [Arguments]
# A wrapper is called as its layer is: with the first input by name, with tensors and options
# side by side. Keras sorts arguments by the signature of `call`, where `**kwargs` would be one
# nested argument, of tensors alone. The wrapper therefore shows Keras the layer's signature.


def join_signatures(own: Callable[..., Any], inner: Callable[..., Any]) -> inspect.Signature:
    """The inner signature, with the named arguments that the wrapper takes beside it."""
    wanted = inspect.signature(inner).parameters
    added = [
        part
        for name, part in inspect.signature(own).parameters.items()
        if part.kind is part.KEYWORD_ONLY and name not in wanted
    ]
    parameters = list(wanted.values())
    last = [part for part in parameters if part.kind is part.VAR_KEYWORD]
    return inspect.Signature([part for part in parameters if part not in last] + added + last)


def first_argument(layer: keras.layers.Layer, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The first input, taken out of the named arguments if it is there."""
    first = next(iter(inspect.signature(layer.call).parameters), None)
    return (kwargs.pop(first),) if first in kwargs else ()


def build_shapes(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Shapes by the names under which the layer's `build` wants them."""
    taken = inspect.signature(layer.call).parameters
    kwargs = {name: kwargs[name] for name in kwargs if name in taken and name != "training"}
    wanted = inspect.signature(layer.build).parameters
    bound = inspect.signature(layer.call).bind_partial(*args, **kwargs).arguments
    return {
        f"{name}_shape": tree.map_structure(lambda tensor: tuple(tensor.shape), value)
        for name, value in bound.items()
        if f"{name}_shape" in wanted and value is not None
    }
