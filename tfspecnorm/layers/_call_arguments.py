"""Call arguments of a wrapper: those of its layer."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import tree

from tfspecnorm.kernels.containers import layers_in

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


def is_built(layer: keras.layers.Layer) -> bool:
    """Whether a layer is built, and each one in it that has variables of its own to make."""
    return all(part.built for part in layers_in(layer))


def shapes_of(args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call as a configuration: a shape and a dtype for each tensor."""
    return {"call": {"args": _described(list(args)), "kwargs": _described(kwargs)}}


def build_from_config(layer: keras.layers.Layer, config: dict[str, Any]) -> None:
    """Build a layer as a configuration says, if it is `shapes_of` a call by such a call."""
    if "call" in config:
        args, kwargs = symbolic(config)
        layer(*args, **kwargs)
    else:
        layer.build_from_config(config)


def symbolic(config: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that a configuration describes, with a `keras.KerasTensor` for each tensor."""
    return _tensors(config["call"]["args"]), _tensors(config["call"]["kwargs"])


def _described(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_described(part) for part in value]
    if isinstance(value, dict):
        return {name: _described(part) for name, part in value.items()}
    if not hasattr(value, "shape"):
        return value
    dtype = keras.backend.standardize_dtype(value.dtype)
    return {"shape": list(value.shape), "tensor_dtype": dtype}


def _tensors(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_tensors(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"shape", "tensor_dtype"}:
        return keras.KerasTensor(tuple(value["shape"]), value["tensor_dtype"])
    return {name: _tensors(part) for name, part in value.items()}
