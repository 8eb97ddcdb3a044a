"""The calls of the layers of a Sequential or Functional model."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import tree

from tfspecnorm.kernels.attachment import plain_class, wrapper_around
from tfspecnorm.kernels.containers import is_graph, parts_of, walk

# Note [Calls of a graph]
# The configuration of a Functional model numbers the calls of each layer, but those of a nested
# model in one way where it is an input and in another where it is an output; and a subclass may
# have another configuration altogether. Here nothing is numbered: `keras.models.clone_model`
# runs the graph with a stand-in for each layer, which records what it is called with. The layers
# themselves are not called, so they do not get new outputs.


# Packages whose models run their layers.
_OURS = ("keras", "tfspecnorm")
# In the configuration of a Sequential or Functional model.
_OF_KERAS = (
    *("name", "trainable", "dtype", "layers"),
    *("input_layers", "output_layers", "build_input_shape"),
)


class GraphCall(NamedTuple):
    """One call of a layer or an operation.

    Args:
        operation: The layer or operation.
        args: Its positional arguments, with a `keras.KerasTensor` for each tensor.
        kwargs: Its keyword arguments. A mask that Keras passes on is among them.
        outputs: List of the tensors that it returns.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


class Graph(NamedTuple):
    """The calls in a model; a tensor is the same object wherever it occurs.

    Args:
        inputs: List of the input tensors.
        calls: List of the calls, each one behind those whose outputs it takes.
        outputs: List of the output tensors.
    """

    inputs: list[Any]
    calls: list[GraphCall]
    outputs: list[Any]

    def makers(self) -> dict[int, GraphCall]:
        """The call that each tensor is an output of, by the `id` of the tensor."""
        return {id(tensor): call for call in self.calls for tensor in call.outputs}


class _StandIn(keras.Operation):
    """Has the name and the outputs of a layer."""

    def __init__(self, operation: Any) -> None:
        super().__init__(name=operation.name)
        self.operation = operation

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self.operation.compute_output_spec(*args, **kwargs)


def graph_of(model: keras.Model, shapes: Sequence[Any] | None = None) -> Graph:
    """The calls of the layers in a model, see Note [Calls of a graph].

    Args:
        model: Built Sequential or Functional model. A nested model is one call.
        shapes: Shape of each input with the batch axis. Defaults to the shapes of the model.
    """
    calls: list[GraphCall] = []

    def record(stand_in: _StandIn, *args: Any, **kwargs: Any) -> Any:
        outputs = stand_in(*args, **kwargs)
        operation = wrapper_around(stand_in.operation)
        calls.append(GraphCall(operation, args, kwargs, tree.flatten(outputs)))
        return outputs

    inputs = new_inputs(model, shapes)
    copy = keras.models.clone_model(
        _functional(model), input_tensors=inputs, clone_function=_StandIn, call_function=record
    )
    return Graph(inputs, calls, list(copy.outputs))


def graphs_in(model: keras.Model) -> list[Graph]:
    """Those of the model and of the models that are layers of it, each once; of known calls."""

    def parts(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
        return parts_of(layer) if runs_its_layers(layer) else []

    models = [model, *(place.layer for place in walk(model, parts=parts))]
    return [graph_of(part) for part in models if runs_its_layers(part)]


def last_calls(model: keras.Model) -> Iterator[GraphCall]:
    """The calls behind a model's only output, the last one first, as far as it is a chain.

    Where a model of known calls makes the output, they are those in it.
    """
    if not runs_its_layers(model):
        return
    graph = graph_of(model)
    makers, tensors = graph.makers(), graph.outputs
    while len(tensors) == 1 and id(tensors[0]) in makers:
        call = makers[id(tensors[0])]
        if runs_its_layers(call.operation):
            yield from last_calls(call.operation)
            return
        yield call
        tensors = tensors_in(call.args)


def input_layers(model: keras.Model) -> list[keras.layers.InputLayer]:
    """The `InputLayer` of each input of a Sequential or Functional model, in order."""
    layers = _functional(model).layers
    made = {id(layer.output): layer for layer in layers if is_input(layer)}
    return [made[id(tensor)] for tensor in model.inputs]


def new_inputs(model: keras.Model, shapes: Sequence[Any] | None = None) -> list[Any]:
    """New input tensors of the same names and types, with other shapes where they are given."""
    layers = input_layers(model)
    tensors = []
    for layer, shape in zip(layers, shapes or [None] * len(layers), strict=True):
        config = layer.get_config()
        if shape is not None:
            config["batch_shape"] = tuple(shape)
        tensors.append(type(layer).from_config(config).output)
    return tensors


def is_input(layer: Any) -> bool:
    """Whether a layer is an `InputLayer`."""
    return isinstance(layer, keras.layers.InputLayer)


def tensors_in(structure: Any) -> list[Any]:
    """The tensors in the arguments of a call, in the order in which Keras flattens them."""
    return [part for part in tree.flatten(structure) if isinstance(part, keras.KerasTensor)]


def runs_its_layers(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model whose calls are known.

    They are not for a subclass with a `call` of its own, nor for a Sequential model with a layer
    that cannot be called on a `keras.KerasTensor`.
    """
    if not is_graph(layer) or getattr(layer, "inputs", None) is None:
        return False
    return all(is_keras_own(layer, method) for method in ("__call__", "call"))


def is_subclass(model: keras.Model) -> bool:
    """Whether the class of a Sequential or Functional model is somebody's own."""
    return plain_class(model).__module__.partition(".")[0] not in _OURS


def maker_of(model: keras.Model, keeps_class: bool = True) -> Callable[..., keras.Model] | None:
    """What makes a model of the same class and name of other layers.

    Args:
        model: Sequential or Functional model, or of a subclass.
        keeps_class: Whether the class matters, also where the model computes what its layers do.

    Returns:
        Function of inputs and outputs, of a list of layers for a Sequential model; `None` if the
        constructor of the class takes others.
    """
    sequential = isinstance(model, keras.Sequential)
    if not keeps_class and runs_its_layers(model):
        return functools.partial(keras.Sequential if sequential else keras.Model, name=model.name)
    parameters = list(inspect.signature(type(model).__init__).parameters.values())[1:]
    kinds = {part.kind for part in parameters}
    names = [part.name for part in parameters if part.kind is part.POSITIONAL_OR_KEYWORD]
    known = ["layers", "trainable", "name"] if sequential else ["inputs", "outputs", "name"]
    any_arguments = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    passed_on = not names and any_arguments <= kinds
    if names != known and not passed_on:
        return None
    options = {}
    if not is_keras_own(model, "get_config"):
        config = model.get_config()
        options = {key: value for key, value in config.items() if key not in _OF_KERAS}
    if any(part.kind is part.KEYWORD_ONLY and part.name not in options for part in parameters):
        # Its value is not known.
        return None
    return functools.partial(type(model), **options, name=model.name)


def is_keras_own(model: keras.Model, method: str) -> bool:
    """Whether a subclass does not define a method anew."""
    owner = next(base for base in plain_class(model).__mro__ if method in vars(base))
    return owner.__module__.partition(".")[0] in _OURS


def _functional(model: keras.Model) -> keras.Model:
    """A plain Functional model with the same layers."""
    return keras.Model(list(model.inputs), list(model.outputs), name=model.name)
