"""Rebuilds a model with some of its layers exchanged."""

import contextlib
import inspect
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras
from keras import ops

from tfspecnorm.kernels.containers import held_in, is_graph, layers_in, walk
from tfspecnorm.surgery.graph import maker_of, new_inputs

# Note [Rebuilding]
# `keras.models.clone_model` rebuilds the graph of a Sequential or Functional model, keeps
# shared layers shared and enters nested models. Any other layer that holds layers (a
# TimeDistributed, a subclassed model) is known only by its configuration: there the change is
# made in the configuration. A subclass of a Functional or Sequential model is made by its own
# constructor, or refused: a plain model would lack its methods. Weights are carried over
# afterwards, in the order of `layer.weights`, in which a wrapper differs from its layer by its own
# state alone.


def rebuild(
    model: keras.Model,
    replace: Callable[[keras.layers.Layer], keras.layers.Layer],
    chosen: set[int],
    removed: Collection[int] = (),
    keeps_classes: bool = True,
) -> tuple[keras.Model, list[tuple[keras.layers.Layer, keras.layers.Layer]]]:
    """The new model and the pairs of old and new layers, see Note [Rebuilding].

    Args:
        model: Built model.
        replace: Function from a chosen layer to what takes its place.
        chosen: `id` of each layer that is exchanged; others are copied.
        removed: `id` of each layer, with one input and one output, that is left out.
        keeps_classes: Whether subclasses of Functional and Sequential models keep their class, or
            are refused. Otherwise those without a `call` of their own become plain models.
    """
    pairs, clones = [], {}

    def clone(layer: Any) -> Any:
        if id(layer) in removed:
            return _Removed()
        if id(layer) not in clones and id(layer) in chosen:
            clones[id(layer)] = remade(layer)
        elif id(layer) not in clones:
            make = maker_of(layer, keeps_classes) if is_graph(layer) else None
            if make is not None:
                clones[id(layer)] = _clone_graph(layer, clone, make)
            elif not is_graph(layer):
                clones[id(layer)] = remade(layer)
            elif holds(layer, {*chosen, *removed}):
                raise _class_lost(layer)
            else:
                clones[id(layer)] = _checked(layer, lambda: remade(layer))
        return clones[id(layer)]

    def remade(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return from_config(layer)
        if id(layer) in chosen:
            new = replace(layer)
        elif holds(layer, chosen):
            new = _from_edited_config(layer, replace, chosen)
        else:
            new = from_config(layer)
        pairs.append((layer, new))
        return new

    if not is_graph(model):
        new_model = _from_edited_config(model, replace, chosen)
        return new_model, [(model, new_model)]
    with _uncompiled(model):
        return clone(model), pairs


def holds(layer: keras.layers.Layer, chosen: Collection[int]) -> bool:
    """Whether a layer or one that it holds is chosen by its `id`."""
    return any(id(part) in chosen for part in layers_in(layer))


class _Removed(keras.layers.Layer):
    """Stands where a layer is left out."""


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a new layer as the old one was; the graph holds a mask that Keras passed on."""
    if isinstance(layer, _Removed):
        return args[0]
    wanted = inspect.signature(layer.call).parameters.values()
    if not any(part.name == "mask" or part.kind is part.VAR_KEYWORD for part in wanted):
        kwargs.pop("mask", None)
    return layer(*args, **kwargs)


def _clone_graph(
    model: keras.Model, clone: Callable[[Any], Any], make: Callable[..., keras.Model]
) -> keras.Model:
    """The graph with each layer exchanged; inputs keep their names."""
    if isinstance(model, keras.Sequential):
        layers = [clone(layer) for layer in model.layers]
        layers = [layer for layer in layers if not isinstance(layer, _Removed)]
        if getattr(model, "inputs", None) is not None:
            layers = [*new_inputs(model), *layers]
        return _checked(model, lambda: make(layers, trainable=model.trainable))
    inputs = new_inputs(model)
    plain = keras.models.clone_model(
        keras.Model(model.input, model.output, name=model.name),
        input_tensors=keras.tree.pack_sequence_as(model.input, inputs),
        clone_function=clone,
        call_function=_call,
    )
    if type(plain) is type(model):
        return plain
    return _checked(model, lambda: make(plain.input, plain.output))


def _checked(model: keras.Model, make: Callable[[], keras.Model]) -> keras.Model:
    try:
        return make()
    except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise _class_lost(model) from error


@contextlib.contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    """Keeps `clone_model` from copying losses and metrics, which may not be serializable."""
    compiled = [part for part in layers_in(model) if getattr(part, "compiled", False)]
    for part in compiled:
        part.compiled = False
    try:
        yield
    finally:
        for part in compiled:
            part.compiled = True


def from_config(operation: Any) -> Any:
    """A layer or operation of the same configuration, without the weights."""
    if isinstance(operation, keras.layers.Lambda):
        # Its function comes from memory, not from a file.
        return type(operation).from_config(operation.get_config(), safe_mode=False)
    return type(operation).from_config(operation.get_config())


def _from_edited_config(
    layer: keras.layers.Layer,
    replace: Callable[[keras.layers.Layer], keras.layers.Layer],
    chosen: set[int],
) -> keras.layers.Layer:
    """The layer rebuilt from a configuration in which the layers that it holds are replaced."""
    affected = {
        part.name: part
        for part in layers_in(layer)[1:]
        if id(part) in chosen or (is_graph(part) and holds(part, chosen))
    }
    places = walk(layer, lambda part: part in affected.values(), held_in)
    outer = [place.layer.name for place in places]
    if any(outer.count(name) > 1 for name in affected):
        # The configuration knows layers by name alone.
        raise _not_rebuilt(layer)

    def edited(node: Any) -> Any:
        if isinstance(node, (list, tuple)):
            return [edited(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "class_name" in node and isinstance(node.get("config"), dict):
            part = affected.get(node["config"].get("name"))
            if part is not None:
                graph = is_graph(part)
                new = rebuild(part, replace, chosen)[0] if graph else replace(part)
                return keras.saving.serialize_keras_object(new)
        return {key: edited(value) for key, value in node.items()}

    try:
        return from_edited(layer, edited)
    except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise _not_rebuilt(layer) from error


def from_edited(layer: keras.layers.Layer, edit: Callable[[Any], Any]) -> keras.layers.Layer:
    """A layer of the configuration that a function makes of that of another one."""
    classes = {type(part).__name__: type(part) for part in layers_in(layer)}
    config = edit(keras.saving.serialize_keras_object(layer))
    with as_built_by_calls():
        return keras.saving.deserialize_keras_object(config, classes, safe_mode=False)


@contextlib.contextmanager
def as_built_by_calls() -> Iterator[None]:
    """Keeps Keras from warning of layers that leave it to their first call to build what they hold.

    They are called afterwards.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`build\(\)` was called on layer", UserWarning)
        yield


class NotExchangedError(ValueError):
    """The layers of a model cannot be exchanged: they are made in somebody's code."""


def _not_rebuilt(layer: keras.layers.Layer) -> NotExchangedError:
    return NotExchangedError(
        f"The layers inside '{layer.name}' (of class {type(layer).__name__}) cannot be "
        "exchanged, because it cannot be rebuilt from its configuration with others in their "
        "place. Let it take its layers, each of a name of its own, as constructor arguments and "
        "return them from `get_config`, or make it a Functional model. "
        f"Received: {type(layer).__name__} named '{layer.name}'"
    )


def _class_lost(model: keras.Model) -> NotExchangedError:
    return NotExchangedError(
        f"The layers inside '{model.name}' (of class {type(model).__name__}) cannot be exchanged "
        "without the loss of its class, and of methods such as `train_step`: its constructor does "
        "not take layers. Let it be that of a Functional model, `(inputs, outputs, name=None)`, or "
        f"of `keras.Sequential`. Received: {type(model).__name__} named '{model.name}'"
    )


def assign(variables: list[keras.Variable], values: list[Any], layer: Any) -> None:
    """Give the variables that belong to a rebuilt layer their values."""
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [tuple(value.shape) for value in values]:
        raise _not_rebuilt(layer)
    for variable, value in zip(variables, values, strict=True):
        # By way of NumPy: on JAX two variables must not share one buffer.
        variable.assign(ops.convert_to_numpy(value))


def carry_over(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Give a layer the state of its twin, as Keras does from a file.

    A layer knows best what follows from its state: `Normalization` computes with what
    `adapt` found, a lookup with its vocabulary.
    """
    if len(layers_in(old)) > 1:
        assign(new.weights, old.weights, old)
        _carry_over_assets(old, new)
    else:
        carry_over_own(old, new)


def carry_over_own(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Give a layer what is its twin's own, not that of layers in it."""
    stored: dict[str, Any] = {}
    old.save_own_variables(stored)
    stored = {key: ops.convert_to_numpy(part) for key, part in stored.items()}
    if stored:
        new.load_own_variables(stored)
    _carry_over_assets(old, new)


def _carry_over_assets(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    if hasattr(old, "save_assets") and hasattr(new, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
