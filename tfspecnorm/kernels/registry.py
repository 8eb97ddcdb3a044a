"""The registry: which variables of which Keras layer are linear maps."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean
from tfspecnorm.kernels.attachment import weights_alone, wrapper_around
from tfspecnorm.norms.linear_map import LinearMap


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A variable of a layer that is a linear map.

    Args:
        name: Name of the kernel within its layer, such as `"kernel"`.
        variable: The `keras.Variable`.
        linear_map: `LinearMap` that describes it.
        gates: Names of the equal parts along the last axis that the gates of a recurrent layer
            are; empty for other kernels.
        part: Position of a single gate among `gates`, or `None` for the whole variable.
        followed_by: Name of the kernel that is applied to the outputs of this one, with nothing
            between them: both are factors of one linear map. Empty for other kernels.
    """

    name: str
    variable: keras.Variable
    linear_map: LinearMap
    gates: tuple[str, ...] = ()
    part: int | None = None
    followed_by: str = ""

    def value_in(self, value: Any) -> Any:
        """The kernel within the value of its variable."""
        if self.part is None:
            return value
        size = self.linear_map.kernel_shape[-1]
        return value[..., self.part * size : (self.part + 1) * size]

    def within(self, prefix: str) -> "Kernel":
        """The kernel as one of a layer that holds its layer under a name, or under none."""
        if not prefix:
            return self
        name = f"{prefix}_{self.name}"
        followed_by = self.followed_by and f"{prefix}_{self.followed_by}"
        return dataclasses.replace(self, name=name, followed_by=followed_by)

    def per_gate(self) -> list["Kernel"]:
        """One kernel for each gate, or the kernel itself if it has none."""
        if not self.gates:
            return [self]
        *rest, last = self.linear_map.kernel_shape
        linear_map = dataclasses.replace(
            self.linear_map, kernel_shape=(*rest, last // len(self.gates))
        )
        return [
            dataclasses.replace(self, name=f"{self.name}_{gate}", linear_map=linear_map, part=part)
            for part, gate in enumerate(self.gates)
        ]


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


def check_registered(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose kernels are unknown or cannot be substituted."""
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "Argument `layer` must be a Keras layer (an instance, not a class). "
            f"Received: layer={layer!r}"
        )
    name = type(layer).__name__
    # Not `hasattr`: a property may need the layer to be built.
    is_cell = hasattr(type(layer), "state_size") or "state_size" in vars(layer)
    if is_cell and not isinstance(layer, keras.layers.RNN):
        raise ValueError(
            "Argument `layer` must not be a cell, which runs once in every time step: wrap the "
            "layer that runs it, such as `keras.layers.RNN(cell)`. "
            f"Received: layer={name} named '{layer.name}'"
        )
    if not is_registered(layer):
        raise ValueError(
            f"Argument `layer` must be a layer with known kernels: {', '.join(registered())}, or "
            f"one that holds such layers: {', '.join(sorted(map(public_name, _HOLDERS)))}. "
            "A layer of your own is made known by "
            "`tfspecnorm.kernels.register(YourLayer, describe)`, where `describe` returns the "
            f"list of its `Kernel`s. Received: layer={name} named '{layer.name}'{_holding(layer)}"
        )
    for part in held_by(layer):
        _check_plain(part)


def unknown_part(layer: Any) -> Any:
    """The layer, or that one of the layers in it whose kernels are unknown."""
    parts = _entry(_HOLDERS, layer)
    held = [] if parts is None else list(parts(layer).values())
    return unknown_part(held[0]) if held else layer


def _holding(layer: Any) -> str:
    part = unknown_part(layer)
    if part is layer:
        return ""
    return f", which holds {type(part).__name__} named '{part.name}'"


def is_matrix(variable: Any) -> bool:
    """Whether a variable may be a linear map: a bias is none, whatever its shape."""
    return len(variable.shape) > 1 and variable.name != "bias"


def _check_plain(layer: Any) -> None:
    name = type(layer).__name__
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


def kernels_of(layer: Any, per_gate: bool = False) -> list[Kernel]:
    """The kernels of a built layer, in a fixed order.

    Args:
        layer: Built Keras layer of a registered class.
        per_gate: Whether each gate of a recurrent kernel is a kernel of its own.

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
    around = wrapper_around(layer)
    if around is not layer:
        return around.kernels
    check_registered(layer)
    if not layer.built:
        raise ValueError(
            "Argument `layer` must be built before its kernels can be described. "
            f"Received: layer={type(layer).__name__} named '{layer.name}'"
        )
    per_gate = check_boolean("per_gate", per_gate)
    found = _describe(layer)
    if not all(isinstance(kernel, Kernel) for kernel in found):
        raise ValueError(
            "Argument `describe` of `kernels.register` must be a function that returns a list of "
            f"`Kernel`s. Received: {found!r} for {type(layer).__name__} named '{layer.name}'"
        )
    described = {id(kernel.variable) for kernel in found}
    for variable in weights_alone(layer):
        if is_matrix(variable) and id(variable) not in described:
            raise ValueError(
                "Argument `layer` must have no matrix beside its known kernels: register its "
                "class with `tfspecnorm.kernels.register`. "
                f"Received: layer={type(layer).__name__} named '{layer.name}' with "
                f"'{variable.name}' of shape {tuple(variable.shape)} ({variable.path})"
            )
    return [part for kernel in found for part in kernel.per_gate()] if per_gate else found


def check_described(layer: Any, kernels: list[Kernel]) -> None:
    """Raise a `ValueError` unless each variable is real and of the shape that is described."""
    for kernel in kernels:
        whole = kernel.linear_map.kernel_shape
        if kernel.part is not None:
            whole = (*whole[:-1], whole[-1] * len(kernel.gates))
        variable = kernel.variable
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if tuple(variable.shape) != whole or not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                "Argument `layer` must have kernels of real floating numbers, of the shapes that "
                f"are described. Received: layer={type(layer).__name__} named '{layer.name}' with "
                f"'{kernel.name}' of type {dtype} and shape {tuple(variable.shape)}, described "
                f"as {whole}"
            )


def _describe(layer: Any) -> list[Kernel]:
    """The kernels of a layer and of the layers that it holds, each variable once."""
    describe = _entry(_REGISTRY, layer)
    if describe is not None:
        kernels = describe(layer)
        return list(kernels) if isinstance(kernels, (list, tuple)) else [kernels]
    parts = _entry(_HOLDERS, layer)
    found: dict[int, Kernel] = {}
    for prefix, part in parts(layer).items() if parts is not None else ():
        for kernel in _describe(part):
            found.setdefault(id(kernel.variable), kernel.within(prefix))
    return list(found.values())


def _entry(table: dict[type, Any], layer: Any) -> Any:
    return next((table[base] for base in type(layer).__mro__ if base in table), None)
