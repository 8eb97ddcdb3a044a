"""The registry: which variables of which Keras layer are linear maps."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm.norms.linear_map import LinearMap


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A variable of a layer that is a linear map.

    Args:
        name: Name of the kernel within its layer, such as `"kernel"`.
        variable: The `keras.Variable`.
        linear_map: `LinearMap` that describes it.
    """

    name: str
    variable: keras.Variable
    linear_map: LinearMap


_REGISTRY: dict[type, Callable[[Any], list[Kernel]]] = {}


def register(
    layer_class: type, describe: Callable[[Any], list[Kernel]] | None = None
) -> Callable[..., Any]:
    """Make the kernels of a layer class known to every wrapper.

    Args:
        layer_class: Subclass of `keras.layers.Layer`; its own subclasses are covered too.
        describe: Function from a built layer to the list of its `Kernel`s. Without it,
            `register` is a decorator.

    Returns:
        `describe`.

    Raises:
        ValueError: If `layer_class` is no layer class.

    Example:

    >>> class Scaled(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.matrix = self.add_weight(shape=(input_shape[-1], 4), name="matrix")
    ...     def call(self, inputs):
    ...         return inputs @ self.matrix
    >>> @register(Scaled)
    ... def describe(layer):
    ...     shape = tuple(layer.matrix.shape)
    ...     return [Kernel("matrix", layer.matrix, LinearMap("dense", shape, output_axes=(1,)))]
    >>> is_registered(Scaled())
    True
    """
    if describe is None:
        return lambda function: register(layer_class, function)
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise ValueError(
            "Argument `layer_class` must be a subclass of `keras.layers.Layer`. "
            f"Received: layer_class={layer_class!r}"
        )
    _REGISTRY[layer_class] = describe
    return describe


def registered() -> list[str]:
    """Sorted names of the layer classes whose kernels are known."""
    return sorted({layer_class.__name__ for layer_class in _REGISTRY})


def is_registered(layer: Any) -> bool:
    """Whether the kernels of this layer are known, by its class or a base class."""
    return _description(layer) is not None


def check_registered(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose kernels are unknown or cannot be substituted."""
    name = type(layer).__name__
    if not is_registered(layer):
        raise ValueError(
            f"Argument `layer` must be a layer with known kernels: {', '.join(registered())}. "
            "A layer of your own is made known by "
            "`tfspecnorm.kernels.register(YourLayer, describe)`, where `describe` returns the "
            f"list of its `Kernel`s. Received: layer={name} named '{layer.name}'"
        )
    if getattr(layer, "quantization_mode", None) is not None:
        raise ValueError(
            "Argument `layer` must not be quantized: fold first, then quantize the plain "
            f"model. Received: layer={name} named '{layer.name}' with "
            f"quantization_mode={layer.quantization_mode!r}"
        )
    if getattr(layer, "lora_enabled", False) or getattr(layer, "lora_rank", None):
        raise ValueError(
            "Argument `layer` must not have LoRA enabled: its kernel is a sum, not a "
            f"variable. Received: layer={name} named '{layer.name}' with "
            f"lora_rank={layer.lora_rank}"
        )


def kernels_of(layer: Any) -> list[Kernel]:
    """The kernels of a built layer, in a fixed order.

    Args:
        layer: Built Keras layer of a registered class.

    Returns:
        List of `Kernel`s.

    Raises:
        ValueError: If the layer's class is unknown, the layer is not built, it is quantized,
            LoRA is enabled, or it has a matrix that its description leaves out.

    Example:

    >>> layer = keras.layers.Dense(4)
    >>> layer.build((None, 3))
    >>> [(kernel.name, kernel.linear_map.matrix_shape) for kernel in kernels_of(layer)]
    [('kernel', (3, 4))]
    """
    check_registered(layer)
    if not layer.built:
        raise ValueError(
            "Argument `layer` must be built before its kernels can be described. "
            f"Received: layer={type(layer).__name__} named '{layer.name}'"
        )
    found = _description(layer)(layer)
    described = {id(kernel.variable) for kernel in found}
    for variable in layer.weights:
        if len(variable.shape) > 1 and variable.name != "bias" and id(variable) not in described:
            raise ValueError(
                "Argument `layer` must have no matrix beside its known kernels: register its "
                "class with `tfspecnorm.kernels.register`. "
                f"Received: layer={type(layer).__name__} named '{layer.name}' with "
                f"'{variable.name}' of shape {tuple(variable.shape)}"
            )
    return found


def _description(layer: Any) -> Callable[[Any], list[Kernel]] | None:
    return next((_REGISTRY[base] for base in type(layer).__mro__ if base in _REGISTRY), None)
