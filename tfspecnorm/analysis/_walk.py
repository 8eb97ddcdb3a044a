"""Visits every call of a layer in a Sequential or Functional model, in the order of the data."""

import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import tree

from tfspecnorm.surgery.graph import GraphCall, graph_of, runs_its_layers, tensors_in


class Signal(NamedTuple):
    """A tensor between layers.

    Args:
        tensor: `keras.KerasTensor` with its shape.
        constant: What the visits made of the constants of the inputs.
        size: Largest absolute value that an entry can have, for any inputs of the model.
    """

    tensor: Any
    constant: float
    size: float = math.inf


class Passed(NamedTuple):
    """What a call does to the signals.

    Args:
        constant: Constant of its outputs in the inputs of the model.
        size: Largest absolute value of an entry of its outputs.
    """

    constant: float
    size: float = math.inf


class Call(NamedTuple):
    """One call of a layer or an operation.

    Args:
        path: Names of the models that it is in and its own, joined by slashes.
        layer: The layer or operation.
        inputs: List of the `Signal`s that it receives, in order.
        args: Its positional arguments, with the tensor of a signal in the place of each.
        options: What else a layer is passed, such as a mask or `training=True`, as it is written.
        outputs: List of the tensors that it returns.
    """

    path: str
    layer: Any
    inputs: list[Signal]
    args: tuple[Any, ...]
    options: list[str]
    outputs: list[Any]


Visit = Callable[[Call], Passed]


def walk(model: keras.Model, inputs: list[Signal], visit: Visit, path: str = "") -> list[Signal]:
    """The outputs of a model, whose constants `visit` computes call by call.

    Args:
        model: Sequential or Functional model.
        inputs: One signal for each of its inputs.
        visit: Function from a call to the constant of its outputs. Models in the model that run
            their layers are entered, not visited.
        path: Prefix of the paths.
    """
    graph = graph_of(model, [signal.tensor.shape for signal in inputs])
    found = {
        id(tensor): signal._replace(tensor=tensor)
        for tensor, signal in zip(graph.inputs, inputs, strict=True)
    }
    for call in graph.calls:
        outputs = _pass(call, found, visit, path)
        found |= {id(signal.tensor): signal for signal in outputs}
    return [found[id(tensor)] for tensor in graph.outputs]


def _pass(call: GraphCall, found: dict[int, Signal], visit: Visit, path: str) -> list[Signal]:
    """The outputs of a call, with their constants."""
    layer = call.operation
    path = f"{path}{layer.name}"
    options = _options(call)
    if not options and runs_its_layers(layer):
        inputs = _inputs_of(layer, call.args[0], found)
        if inputs is not None:
            signals = walk(layer, inputs, visit, f"{path}/")
            return [
                signal._replace(tensor=output)
                for output, signal in zip(call.outputs, signals, strict=True)
            ]
    signals = [found[id(tensor)] for tensor in tensors_in(call.args)]
    if call.outputs and all(output.dtype == "bool" for output in call.outputs):
        # Masks of padded steps and comparisons: what computes with them says that they jump.
        return [Signal(output, math.inf, 1.0) for output in call.outputs]
    passed = visit(Call(path, layer, signals, call.args, options, call.outputs))
    return [Signal(output, *passed) for output in call.outputs]


def _options(call: GraphCall) -> list[str]:
    """The arguments beyond the inputs that are neither off nor as by default, as written."""
    given = dict(call.kwargs)
    defaults = {}
    if isinstance(call.operation, keras.layers.Layer):
        parameters = list(inspect.signature(call.operation.call).parameters.values())
        names = [part.name for part in parameters[1:]]
        given |= dict(zip(names, call.args[1:], strict=False))
        # Augmentation has `training=True`, which says nothing of inference.
        defaults = {part.name: part.default for part in parameters}
    return [
        f"`{name}`" if tensors_in(value) else f"`{name}={value!r}`"
        for name, value in given.items()
        if any(part is not None and part is not False for part in tree.flatten(value))
        and (tensors_in(value) or value is not defaults.get(name))
    ]


def _inputs_of(model: keras.Model, given: Any, found: dict[int, Signal]) -> list[Signal] | None:
    """What a nested model is given, in the order of its inputs; `None` if that is not known."""
    if isinstance(given, dict) and (
        isinstance(model, keras.Sequential) or not isinstance(model.input, dict)
    ):
        # Keras sorts them by the names of the inputs.
        names = [tensor.name for tensor in model.inputs]
        if not set(names) <= set(given):
            return None
        given = [given[name] for name in names]
    tensors = tensors_in(given)
    if len(tensors) != len(model.inputs) or len(tensors) != len(tree.flatten(given)):
        return None
    return [found[id(tensor)] for tensor in tensors]


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
            isinstance(asked, numbers.Integral) and asked > 0 and (own is None or asked == own)
            for asked, own in zip(shape, tensor.shape[1:], strict=True)
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
