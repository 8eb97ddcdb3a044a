"""Visits every call of a layer in a Sequential or Functional model, in the order of the data."""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import tree

from tfspecnorm.kernels.holders import is_graph


class Signal(NamedTuple):
    """A tensor between layers.

    Args:
        tensor: `keras.KerasTensor` with its shape.
        constant: What the visits made of the constants of the inputs.
    """

    tensor: Any
    constant: float


class Call(NamedTuple):
    """One call of a layer or an operation.

    Args:
        path: Names of the models that it is in and its own, joined by slashes.
        layer: The layer or operation.
        inputs: List of the `Signal`s that it receives, in order.
        arguments: Its positional arguments, each signal in its place, and numbers among them.
        complete: Whether a layer is passed nothing else, such as a mask or an option.
    """

    path: str
    layer: Any
    inputs: list[Signal]
    arguments: list[Any]
    complete: bool


Visit = Callable[[Call], float]


def walk(model: keras.Model, inputs: list[Signal], visit: Visit, path: str = "") -> list[Signal]:
    """The outputs of a model, whose constants `visit` computes call by call.

    Args:
        model: Sequential or Functional model.
        inputs: One signal for each of its inputs.
        visit: Function from a call to the constant of its outputs. Models in the model are
            entered, not visited.
        path: Prefix of the paths.
    """
    if isinstance(model, keras.Sequential):
        (signal,) = inputs
        masked = False
        for layer in model.layers:
            if not isinstance(layer, keras.layers.InputLayer):
                complete = not (masked and "mask" in inspect.signature(layer.call).parameters)
                (signal,) = _pass(layer, [signal], [signal], complete, visit, path)
                masked = masked or _makes_mask(layer)
        return [signal]
    config = model.get_config()
    operations = {operation.name: operation for operation in model.operations}
    found: dict[tuple, Signal] = {}
    for key, signal in zip(_keys(config["input_layers"]), inputs, strict=True):
        found[key] = signal
    waiting = [
        (entry["name"], index, node)
        for entry in config["layers"]
        for index, node in enumerate(entry["inbound_nodes"])
    ]
    while waiting:
        ready = [item for item in waiting if all(key in found for key in _sources(item[2]))]
        for name, index, node in ready:
            signals = [found[key] for key in _sources(node["args"])]
            arguments = _filled(node["args"], found)
            # `training=True` makes dropout drop at inference; what an option means is unknown.
            options = [*node["kwargs"].values(), *node["args"][1:]]
            is_layer = isinstance(operations[name], keras.layers.Layer)
            complete = not is_layer or all(option in (None, False) for option in options)
            outputs = _pass(operations[name], signals, arguments, complete, visit, path)
            found |= {(name, index, place): part for place, part in enumerate(outputs)}
        waiting = [item for item in waiting if item not in ready]
    return [found[key] for key in _keys(config["output_layers"])]


def _makes_mask(layer: Any) -> bool:
    """Whether a layer sends a mask on: in a Functional model the mask is an argument."""
    return isinstance(layer, keras.layers.Masking) or bool(getattr(layer, "mask_zero", False))


def _pass(
    layer: Any, signals: list[Signal], arguments: list[Any], complete: bool, visit: Visit, path: str
) -> list[Signal]:
    path = f"{path}{layer.name}"
    if is_graph(layer) and complete:
        return walk(layer, signals, visit, f"{path}/")
    outputs = tree.flatten(layer.compute_output_spec(*_tensors(arguments)))
    if all(output.dtype == "bool" for output in outputs):
        # A mask in the making jumps; what receives it says so.
        return [Signal(output, math.inf) for output in outputs]
    constant = visit(Call(path, layer, signals, arguments, complete))
    return [Signal(output, constant) for output in outputs]


def _tensors(node: Any) -> Any:
    """The arguments of a call with the tensor of each signal in its place."""
    if isinstance(node, Signal):
        return node.tensor
    return [_tensors(part) for part in node] if isinstance(node, list) else node


def _keys(structure: Any) -> list[tuple]:
    """`(name, node, tensor)` of each input or output in a configuration."""
    flat = tree.flatten(structure)
    return [tuple(flat[start : start + 3]) for start in range(0, len(flat), 3)]


def _sources(node: Any) -> list[tuple]:
    """Keys of the tensors in the configuration of a call, in order."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [tuple(node["config"]["keras_history"])]
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        return [key for part in node for key in _sources(part)]
    return []


def _filled(node: Any, found: dict[tuple, Signal]) -> Any:
    """The arguments of a call with the signals in their places."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        return found[tuple(node["config"]["keras_history"])]
    if isinstance(node, (list, tuple)):
        return [_filled(part, found) for part in node]
    return node


def input_signals(model: keras.Model, input_shape: Any = None) -> list[Signal]:
    """The inputs of a model, each of constant 1, at its own or another shape.

    Args:
        model: Built Sequential or Functional model.
        input_shape: Shape without the batch axis, a list of them for several inputs, or `None`.

    Raises:
        ValueError: If the shape does not fit the model.
    """
    tensors = model.inputs
    if input_shape is None:
        return [Signal(tensor, 1.0) for tensor in tensors]
    several = len(tensors) > 1 and isinstance(input_shape, (list, tuple))
    shapes = list(input_shape) if several else [input_shape]
    fits = len(shapes) == len(tensors) and all(
        isinstance(shape, (list, tuple))
        and len(shape) + 1 == len(tensor.shape)
        and all(
            own is None or asked == own for asked, own in zip(shape, tensor.shape[1:], strict=True)
        )
        for shape, tensor in zip(shapes, tensors, strict=True)
    )
    if not fits:
        own = [tuple(tensor.shape[1:]) for tensor in tensors]
        raise ValueError(
            "Argument `input_shape` must fit the model's inputs, without the batch axis: "
            f"{own[0] if len(own) == 1 else own}. Received: input_shape={input_shape!r}"
        )
    return [
        Signal(keras.KerasTensor((None, *shape), tensor.dtype), 1.0)
        for shape, tensor in zip(shapes, tensors, strict=True)
    ]
