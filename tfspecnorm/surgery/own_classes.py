"""Models whose code makes the layers: wrappers are attached to these where they stand."""

import functools
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfspecnorm._backend.variables import list_parameters
from tfspecnorm.kernels.attachment import (
    attach,
    plain_class,
    refuse_copies,
    serialized_without_wrappers,
    subclass,
    wrapper_around,
)
from tfspecnorm.kernels.containers import is_graph, layers_in, own_parts, walk
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery.graph import is_keras_own, is_subclass, new_inputs
from tfspecnorm.surgery.rebuild import (
    as_built_by_calls,
    carry_over_own,
    classes_in,
    uncompiled,
)

# Note [Classes of their own]
# A model such as keras-hub's `BertTextClassifier` is known by the arguments of its constructor,
# which makes the layers. It is copied by its own `from_config`, and wrappers are attached to the
# copy's layers, see Note [Attached layers]. The copy's class becomes a subclass, so that methods
# stay and `isinstance` holds; its configuration is that of the model and, for each wrapper, the
# path to its layer. All such classes have one registered name, since what loads them does not
# depend on the class.

Pairs = list[tuple[keras.layers.Layer, keras.layers.Layer]]

# What `from_config` raises where a class cannot be made anew.
_REFUSALS = (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


class NotCopiedError(ValueError):
    """A model cannot be made anew from its configuration."""


class _WrappedModel:
    """What the class of a model with attached layers has before its own."""

    def build_from_config(self, config: Any) -> None:
        """Nothing: `from_config` builds the model."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        with as_built_by_calls():
            model = _built(keras.saving.deserialize_keras_object(config["model"], custom_objects))
        layers = paths_in(model)
        for entry in config["wrappers"]:
            layer = layers.get(tuple(entry["path"]))
            if layer is None or type(layer).__name__ != entry["layer"]:
                raise ValueError(
                    f"Model '{model.name}' cannot be loaded with its wrappers: the code of "
                    f"{type(model).__name__} makes other layers than the code with which it was "
                    f"saved. Received: {layer!r} in place of {entry['layer']} at "
                    f"{'/'.join(entry['path'])}"
                )
            _attach(_loaded(entry["wrapper"], layer))
        return _with_wrappers(model)

    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            keras.saving.save_model(self, path)
            return _unpickled, (path.read_bytes(),)


def attach_wrappers(
    model: keras.Model,
    make: Callable[[keras.layers.Layer], Any],
    layers: list[keras.layers.Layer],
) -> keras.Model:
    """A copy of a model with wrappers around some of its layers, see Note [Classes of their own].

    Args:
        model: Built model.
        make: Function from a layer of the copy to its wrapper, or to the layer itself.
        layers: Layers of the model.
    """
    copy, pairs = remake(model)
    chosen = {id(layer) for layer in layers}
    for old, new in pairs:
        around = wrapper_around(old)
        if around is not old:
            wrapper = type(around).from_config({**around.get_config(), "layer": new})
            _attach(wrapper)
            carry_over_own(old, new)
        elif id(old) in chosen and new.built:
            wrapper = make(new)
            if wrapper is not new:
                _attach(wrapper)
    return _with_wrappers(copy)


def remake(model: keras.Model) -> tuple[keras.Model, Pairs]:
    """A copy of a model by its configuration, without attached wrappers, and the pairs of layers.

    Raises:
        NotCopiedError: If the configuration does not make the model anew.
    """
    with serialized_without_wrappers(), uncompiled(model):
        try:
            for part in layers_in(model):
                _check_configuration(part)
            config = keras.saving.serialize_keras_object(model)
            classes = classes_in(model)
            with as_built_by_calls():
                copy = keras.saving.deserialize_keras_object(config, classes, safe_mode=False)
            pairs = _pairs(model, _built(copy))
            for old, new in pairs:
                carry_over_own(old, new)
        except _REFUSALS as error:
            raise NotCopiedError(
                f"Model '{model.name}' (of class {plain_class(model).__name__}) cannot be copied "
                "by its configuration. Its class, and those of the layers in it, must have a "
                "`get_config` that returns the arguments of the constructor, and `from_config` and "
                "`build_from_config` must make all of its layers. "
                f"Received: {' '.join(str(error).split())[:300]}"
            ) from error
    return copy, pairs


def _check_configuration(layer: Any) -> None:
    """Raise a `ValueError` for a graph whose class takes what Keras' configuration does not hold.

    Keras would make it anew with the default value.
    """
    if is_graph(layer) and is_subclass(layer) and is_keras_own(layer, "get_config"):
        parameters = inspect.signature(plain_class(layer).__init__).parameters.values()
        named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        missing = named - {"self", "inputs", "outputs"} - layer.get_config().keys()
        if missing:
            raise ValueError(f"`get_config` of {plain_class(layer).__name__} lacks {missing}")


def paths_in(model: keras.layers.Layer) -> dict[tuple[str, ...], keras.layers.Layer]:
    """The layers in a model by paths of attributes, the same in each model of a configuration.

    Attached layers stand for themselves. Layers of a graph are numbered: a name that Keras chose
    is another one in each copy.
    """

    def parts(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
        numbered = enumerate(layer.layers) if is_graph(layer) else ()
        return [*((f"layers/{number}", part) for number, part in numbered), *own_parts(layer)]

    return {(): model} | {place.path: place.layer for place in walk(model, parts=parts)}


def is_wrapped_model(model: Any) -> bool:
    """Whether a model is one of attached layers."""
    return isinstance(model, _WrappedModel)


def _pairs(old: keras.Model, new: keras.Model) -> Pairs:
    olds, news = paths_in(old), paths_in(new)
    for path in [*olds, *news]:
        found = [part for part in (olds.get(path), news.get(path)) if part is not None]
        # A preprocessor makes layers when it is first called; without variables nothing is lost.
        if len(found) == 1 and not found[0].variables:
            continue
        classes = [plain_class(part) for part in found]
        if len(found) == 1 or classes[0] is not classes[1]:
            raise ValueError(f"layers at {path} are of classes {classes}, one in each model")
    return [(part, news[path]) for path, part in olds.items() if path in news]


def _built(model: keras.Model) -> keras.Model:
    """Builds layers that only a call builds: those without a `build` of their own."""
    if getattr(model, "inputs", None) is not None:
        unbuilt = [part for part in layers_in(model) if not part.built]
        if unbuilt:
            inputs = new_inputs(model)
            model(keras.tree.pack_sequence_as(model.input, inputs))
    return model


def _serialized(wrapper: Reparameterization) -> dict[str, Any]:
    """A wrapper without its layer."""
    config = keras.saving.serialize_keras_object(wrapper)
    config.pop("build_config", None)
    return config


def _loaded(config: dict[str, Any], layer: keras.layers.Layer) -> Reparameterization:
    return keras.saving.deserialize_keras_object(
        {**config, "config": {**config["config"], "layer": layer}}
    )


def _attach(wrapper: Reparameterization) -> None:
    wrapper.build()
    attach(wrapper, layers_in(wrapper.layer)[1:])


def _with_wrappers(model: keras.Model) -> keras.Model:
    """A model with attached layers in it, of a class that knows of them."""
    for part in layers_in(model)[1:]:
        is_between = wrapper_around(part) is part and not isinstance(part, Reparameterization)
        if is_between and any(wrapper_around(inner) is not inner for inner in layers_in(part)):
            refuse_copies(part)
            list_parameters(part)
    list_parameters(model)
    model.__class__ = _wrapped_class(type(model))
    return model


@functools.cache
def _wrapped_class(model_class: type) -> type:
    made = subclass(model_class, _WrappedModel, "Wrapped", _configuration)
    return keras.saving.register_keras_serializable("tfspecnorm", "WrappedModel")(made)


def _configuration(model: keras.Model) -> dict[str, Any]:
    with serialized_without_wrappers():
        plain = keras.saving.serialize_keras_object(model)
    plain.pop("compile_config", None)
    wrappers = [
        {
            "path": list(path),
            "layer": plain_class(layer).__name__,
            "wrapper": _serialized(wrapper_around(layer)),
        }
        for path, layer in paths_in(model).items()
        if wrapper_around(layer) is not layer
    ]
    return {"model": plain, "wrappers": wrappers}


def _unpickled(content: bytes) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        return keras.saving.load_model(path)


# Files are loaded before a class is made.
_wrapped_class(keras.Model)
