"""The registry: what is known of classes of layers."""

from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm.kernels.kernel import Kernel

# What a layer class computes with, and which layers a layer class computes with.
_REGISTRY: dict[type, Callable[[Any], list[Kernel]]] = {}
_HOLDERS: dict[type, Callable[[Any], dict[str, Any]]] = {}
_CELLS = (keras.layers.SimpleRNNCell, keras.layers.LSTMCell, keras.layers.GRUCell)


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
        ValueError: If `layer_class` is no layer class or `describe` no function.

    Example:

    >>> from tfspecnorm.kernels import Kernel
    >>> from tfspecnorm.norms import LinearMap
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
    _check_registration(layer_class, "describe", describe)
    _REGISTRY[layer_class] = describe
    return describe


def register_holder(
    layer_class: type, parts: Callable[[Any], dict[str, Any]] | None = None
) -> Callable[..., Any]:
    """Make known which layers a layer computes with: their kernels are its kernels.

    Args:
        layer_class: Subclass of `keras.layers.Layer` that holds other layers.
        parts: Function from a layer to a dict from a prefix for the names of the kernels
            (`""` for none) to the layer or cell that it holds. Without it, `register_holder`
            is a decorator.

    Returns:
        `parts`.

    Raises:
        ValueError: If `layer_class` is no layer class or `parts` no function.

    Example:

    >>> from tfspecnorm.kernels import kernels_of
    >>> layer = keras.layers.Bidirectional(keras.layers.LSTM(4))
    >>> layer.build((None, 3, 2))
    >>> [kernel.name for kernel in kernels_of(layer)][:2]
    ['forward_kernel', 'forward_recurrent_kernel']
    """
    if parts is None:
        return lambda function: register_holder(layer_class, function)
    _check_registration(layer_class, "parts", parts)
    _HOLDERS[layer_class] = parts
    return parts


def _check_registration(layer_class: Any, name: str, function: Any) -> None:
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise ValueError(
            "Argument `layer_class` must be a subclass of `keras.layers.Layer`. "
            f"Received: layer_class={layer_class!r}"
        )
    if not callable(function):
        raise ValueError(
            f"Argument `{name}` must be a function of a layer. Received: {name}={function!r}"
        )


def registered() -> list[str]:
    """Sorted names of the layer classes whose kernels are known, without Keras' cells."""
    return sorted({public_name(known) for known in _REGISTRY if known not in _CELLS})


def public_name(layer_class: type) -> str:
    """The name under which Keras exports a layer class, or the name of the class."""
    name = layer_class.__name__
    if getattr(keras.layers, name, None) is layer_class:
        return name
    exported = vars(keras.layers).items()
    return next((key for key, value in exported if value is layer_class), name)


def is_registered(layer: Any) -> bool:
    """Whether the kernels of this layer, or of layers that it holds, are known."""
    if _entry(_REGISTRY, layer) is not None:
        return True
    parts = _entry(_HOLDERS, layer)
    return parts is not None and any(is_registered(part) for part in parts(layer).values())


def held_by(layer: Any) -> list[Any]:
    """The layers whose kernels are the layer's kernels: itself, or those that it holds."""
    parts = None if _entry(_REGISTRY, layer) is not None else _entry(_HOLDERS, layer)
    if parts is None:
        return [layer]
    return [inner for part in parts(layer).values() for inner in held_by(part)]


def unknown_part(layer: Any) -> Any:
    """The layer, or that one of the layers in it whose kernels are unknown."""
    parts = _entry(_HOLDERS, layer)
    held = [] if parts is None else list(parts(layer).values())
    return unknown_part(held[0]) if held else layer


def described(layer: Any) -> list[Kernel]:
    """What the layer's description says, or those of the layers that it is known to hold.

    Each variable is there once.
    """
    describe = _entry(_REGISTRY, layer)
    if describe is not None:
        kernels = describe(layer)
        return list(kernels) if isinstance(kernels, (list, tuple)) else [kernels]
    parts = _entry(_HOLDERS, layer)
    found: dict[int, Kernel] = {}
    for prefix, part in parts(layer).items() if parts is not None else ():
        for kernel in described(part):
            found.setdefault(id(kernel.variable), kernel.within(prefix))
    return list(found.values())


def holders() -> list[str]:
    """Sorted names of the layer classes that are known to hold others."""
    return sorted(map(public_name, _HOLDERS))


def _entry(table: dict[type, Any], layer: Any) -> Any:
    return next((table[base] for base in type(layer).__mro__ if base in table), None)
