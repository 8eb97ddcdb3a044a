"""Layers that stay where they are, and are called through a wrapper."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import keras

from tfspecnorm._backend.variables import keep_in

# Note [Attached layers]
# A layer that another layer made in its code cannot be exchanged: it stands in attributes, in the
# nodes of graphs and in what its maker does with it. So it stays, and its class becomes a subclass
# whose `__call__` goes to a wrapper, which runs the layer as it would any other one. The layer
# shows the state of its wrapper as its own variables, so that training, freezing, saving and
# restoring reach it wherever the layer is. Trackers do not see the wrapper itself. Its kernel, read
# as an attribute by code that does not call it, such as the tied head of a language model, is the
# one that it computes with outside of training. The configuration of the layer says nothing of the
# wrapper: the outermost model keeps wrappers beside its own configuration, see
# `surgery/own_classes.py`, and nothing within it may be copied without them.

_SERIALIZING: contextvars.ContextVar[bool] = contextvars.ContextVar("serializing", default=False)
# The attached layers whose own code runs, by `id`: there the kernel is exchanged already.
_RUNNING: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar("running", default=())


@contextlib.contextmanager
def serialized_without_wrappers() -> Iterator[None]:
    """Lets Keras serialize attached layers, and models that hold them, as if they were plain."""
    token = _SERIALIZING.set(True)
    try:
        yield
    finally:
        _SERIALIZING.reset(token)


def wrapper_around(layer: Any) -> Any:
    """The wrapper that a layer is attached to, or the layer itself."""
    attachment = getattr(layer, "_attachment", None)
    return layer if attachment is None else attachment.wrapper


class Attachment:
    """Hides a wrapper from trackers: it holds the layer that holds this."""

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        names = [variable.name for variable in wrapper.state]
        # What the layer itself saves has other names.
        self.state = {
            f"{name}.{names[:number].count(name)}": variable
            for number, (name, variable) in enumerate(zip(names, wrapper.state, strict=True))
        }


class _AttachedLayer:
    """What the class of an attached layer has before its own."""

    _attachment: Attachment

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._attachment.wrapper(*args, **kwargs)

    def _call_alone(self, *args: Any, **kwargs: Any) -> Any:
        with _own_code_of(self):
            return super().__call__(*args, **kwargs)

    def _variables_alone(self) -> list[keras.Variable]:
        return super().variables

    def _weights_alone(self) -> list[keras.Variable]:
        return super().weights

    @property
    def variables(self) -> list[keras.Variable]:
        return [*super().variables, *self._attachment.state.values()]

    @property
    def weights(self) -> list[keras.Variable]:
        return [*super().weights, *self._attachment.state.values()]

    @property
    def trainable(self) -> bool:
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        super(_AttachedLayer, type(self)).trainable.fset(self, value)
        self._attachment.wrapper._train_state(value)

    def save_own_variables(self, store: Any) -> None:
        with _own_code_of(self):
            super().save_own_variables(store)
        if not _SERIALIZING.get():
            for name, variable in self._attachment.state.items():
                store[name] = variable

    def load_own_variables(self, store: Any) -> None:
        stored = {name: store[name] for name in store.keys()}
        if not _SERIALIZING.get():
            state = self._attachment.state
            if state and not state.keys() & stored:
                raise self._attachment.wrapper._state_missing()
            for name, variable in state.items():
                variable.assign(stored.pop(name))
        with _own_code_of(self):
            super().load_own_variables(stored)


@contextlib.contextmanager
def _own_code_of(layer: Any) -> Iterator[None]:
    """Lets the code of an attached layer itself read its variables."""
    token = _RUNNING.set((*_RUNNING.get(), id(layer)))
    try:
        yield
    finally:
        _RUNNING.reset(token)


def attach(wrapper: Any) -> None:
    """Let every call of a wrapper's layer go through the wrapper, see Note [Attached layers].

    Args:
        wrapper: Built wrapper.
    """
    layer = wrapper.layer
    layer._attachment = Attachment(wrapper)
    wrapper.is_attached = True
    keep_in(layer, layer._attachment.state)
    read = tuple(k.name for k in wrapper.kernels if getattr(layer, k.name, None) is k.variable)
    layer.__class__ = _attached_class(type(layer), type(wrapper), read)


@functools.cache
def _attached_class(layer_class: type, wrapper_class: type, kernels: tuple[str, ...]) -> type:
    made = subclass(layer_class, _AttachedLayer, wrapper_class.__name__, _part_alone)
    for name in kernels:
        setattr(made, name, _kernel_property(layer_class, name))
    return made


def _kernel_property(layer_class: type, name: str) -> property:
    own = getattr(layer_class, name, None)

    def read(layer: Any) -> Any:
        if _SERIALIZING.get() or id(layer) in _RUNNING.get():
            return vars(layer)[name] if own is None else own.__get__(layer)
        return layer._attachment.wrapper.effective_kernels()[name]

    def assign(layer: Any, value: Any) -> None:
        raise AttributeError(
            f"Attribute '{name}' of layer '{layer.name}' cannot be set: it is computed by the "
            f"{type(layer._attachment.wrapper).__name__} that the layer is attached to."
        )

    return property(read, assign)


def subclass(layer_class: type, before: type, prefix: str, get_config: Callable[..., Any]) -> type:
    """A subclass that Keras takes for the class itself while layers are serialized as plain ones.

    Args:
        layer_class: A class of layers.
        before: Class with the methods that take the place of those of the class.
        prefix: What precedes the name of the class.
        get_config: Function from a layer to its configuration, at other times.
    """

    # With the attributes of the method: Keras asks by one whether a class has its own.
    @functools.wraps(layer_class.get_config)
    def configuration(layer: Any) -> dict[str, Any]:
        return layer_class.get_config(layer) if _SERIALIZING.get() else get_config(layer)

    own = {
        "__class__": property(lambda layer: layer_class if _SERIALIZING.get() else type(layer)),
        "__doc__": layer_class.__doc__,
        "__module__": before.__module__,
        "get_config": configuration,
        "plain_class": layer_class,
    }
    return type(prefix + layer_class.__name__, (before, layer_class), own)


def plain_class(layer: Any) -> type:
    """The class of a layer, of an attached one that which it had before."""
    return getattr(type(layer), "plain_class", type(layer))


def call_alone(layer: keras.layers.Layer) -> Callable[..., Any]:
    """What calls the layer itself, not the wrapper that it may be attached to."""
    return layer._call_alone if isinstance(layer, _AttachedLayer) else layer


def variables_alone(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables of the layer itself, without the state of a wrapper that it is attached to."""
    return layer._variables_alone() if isinstance(layer, _AttachedLayer) else layer.variables


def weights_alone(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The same of `layer.weights`, which has no random states."""
    return layer._weights_alone() if isinstance(layer, _AttachedLayer) else layer.weights


def refuse_copies(layer: keras.layers.Layer) -> None:
    """Make a layer that holds attached ones raise a `ValueError` where Keras would copy it."""

    @functools.wraps(type(layer).get_config)
    def configuration() -> dict[str, Any]:
        return type(layer).get_config(layer) if _SERIALIZING.get() else _part_alone(layer)

    layer.get_config = configuration


def _part_alone(layer: Any) -> NoReturn:
    raise ValueError(
        f"Layer '{layer.name}' cannot be saved or copied by itself, because its configuration does "
        "not hold the wrappers that are attached to layers in it. Save or copy the whole model "
        "that `tfspecnorm.wrap` returned, or take the layer from a folded one (`tfspecnorm.fold`). "
        f"Received: {plain_class(layer).__name__} named '{layer.name}'"
    )
