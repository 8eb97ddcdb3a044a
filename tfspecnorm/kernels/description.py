"""The kernels of a layer, and which layers have none."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean
from tfspecnorm.kernels.attachment import plain_class, weights_alone, wrapper_around
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import (
    described,
    held_by,
    holders,
    is_registered,
    registered,
    unknown_part,
)


def is_matrix(variable: Any) -> bool:
    """Whether a variable may be a linear map: a bias is none, whatever its shape."""
    return len(variable.shape) > 1 and variable.name != "bias"


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
    found = described(layer)
    if not all(isinstance(kernel, Kernel) for kernel in found):
        raise ValueError(
            "Argument `describe` of `kernels.register` must be a function that returns a list of "
            f"`Kernel`s. Received: {found!r} for {type(layer).__name__} named '{layer.name}'"
        )
    known = {id(kernel.variable) for kernel in found}
    for variable in weights_alone(layer):
        if is_matrix(variable) and id(variable) not in known:
            raise ValueError(
                "Argument `layer` must have no matrix beside its known kernels: register its "
                "class with `tfspecnorm.kernels.register`. "
                f"Received: layer={type(layer).__name__} named '{layer.name}' with "
                f"'{variable.name}' of shape {tuple(variable.shape)} ({variable.path})"
            )
    return [part for kernel in found for part in kernel.per_gate()] if per_gate else found


def check_registered(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose kernels are unknown or cannot be substituted."""
    check_may_hold_kernels(layer)
    if not is_registered(layer):
        raise unknown_layer(layer)
    for part in held_by(layer):
        check_plain(part)


def check_may_hold_kernels(layer: Any) -> None:
    """Raise a `ValueError` for what no wrapper can take, also before the layer is built.

    A layer of somebody's own may make the layers that it computes with as late as in its `build`.
    """
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
    if is_registered(layer):
        for part in held_by(layer):
            check_plain(part)
    elif _is_of_keras(unknown_part(layer)):
        raise unknown_layer(layer)


def unknown_layer(layer: Any) -> ValueError:
    """The error for a layer without known kernels."""
    return ValueError(
        f"Argument `layer` must be a layer with known kernels: {', '.join(registered())}, or "
        f"one that holds such layers, such as {', '.join(holders())} or a "
        "layer of your own. A layer of your own that has matrices is made known by "
        "`tfspecnorm.kernels.register(YourLayer, describe)`, where `describe` returns the list of "
        f"its `Kernel`s. Received: layer={type(layer).__name__} named '{layer.name}'"
        f"{_holding(layer)}"
    )


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras" and not isinstance(
        layer, keras.Model
    )


def _holding(layer: Any) -> str:
    part = unknown_part(layer)
    if part is layer:
        return ""
    return f", which holds {type(part).__name__} named '{part.name}'"


def check_plain(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose kernels are not what it computes with."""
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


class UnsuitableLayerError(ValueError):
    """A wrapper cannot take a layer, whose kernels are known.

    Args:
        wanted: What the layer must be.
        layer: The layer.
        received: What it is instead.
    """

    def __init__(self, wanted: str, layer: keras.layers.Layer, received: str = "") -> None:
        name = f"{plain_class(layer).__name__} named '{layer.name}'"
        super().__init__(f"Argument `layer` must {wanted}. Received: layer={name}{received}")
        self.reason = f"the layer must {wanted}"
