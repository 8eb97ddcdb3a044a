"""The table from layer class to the rule for its Lipschitz constant, and how to add to it."""

from collections.abc import Callable
from typing import Any

import keras

Rule = Callable[[Any, tuple], float | None]

_RULES: dict[type, Rule] = {}
# Classes that Keras does not export, by name.
_UNEXPORTED: dict[str, Rule] = {}
# What a subclass may define anew without computing something else.
_HARMLESS = ("build", "get_config", "from_config", "compute_output_shape", "compute_output_spec")


def register_constant(layer_class: type, rule: Rule | None = None) -> Callable[..., Any]:
    """Make the Lipschitz constant of a layer class known.

    The rule promises ‖layer(x) − layer(y)‖₂ ≤ L·‖x − y‖₂ at inference, for all inputs x and y of
    the shape, each norm taken over all entries. Where classes of a layer's inheritance have
    several rules, that of the nearest class counts. The rule of a layer that holds layers can use
    `constant_of` for each of them. A subclass of `keras.Model` with a `call` of its own has a rule
    in the same way.

    Args:
        layer_class: Subclass of `keras.layers.Layer`; its own subclasses are covered too,
            unless they define its `call`, or another method that it computes with, anew.
        rule: Function from a built layer and the shape of its input, with the batch axis and
            with `None` for unknown sizes, to the constant, or to `None` where there is none.
            Without it, `register_constant` is a decorator.

    Returns:
        `rule`.

    Raises:
        ValueError: If `layer_class` is no layer class, or `rule` no function.

    Example:

    >>> class Halved(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         return inputs / 2
    >>> @register_constant(Halved)
    ... def constant_of_halved(layer, input_shape):
    ...     return 0.5
    >>> constant_of(Halved(), (None, 3))
    0.5
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise ValueError(
            "Argument `layer_class` must be a subclass of `keras.layers.Layer`. "
            f"Received: layer_class={layer_class!r}"
        )
    if rule is None:
        return lambda function: register_constant(layer_class, function)
    if not callable(rule):
        raise ValueError(
            "Argument `rule` must be a function from a layer and the shape of its input to its "
            f"constant, or `None`. Received: rule={rule!r}"
        )
    _RULES[layer_class] = rule
    return rule


def constant_of(layer: Any, input_shape: tuple) -> float | None:
    """Certified ℓ₂ Lipschitz constant of a built layer at inference.

        ‖layer(x) − layer(y)‖₂ ≤ L·‖x − y‖₂   for all x, y of the shape

    Guarantee: an upper bound of the map in exact arithmetic. Weights that are not finite give a
    value that is not finite.

    Args:
        layer: Built Keras layer with one input.
        input_shape: Shape of the input with the batch axis, `None` for unknown sizes.

    Returns:
        The constant, or `None` for a layer that is unknown or has none.

    Raises:
        ValueError: If an argument is not as above, or the layer is not built.

    Example:

    >>> constant_of(keras.layers.UpSampling2D(2), (None, 8, 8, 3))
    2.0
    """
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(f"Argument `layer` must be a Keras layer. Received: layer={layer!r}")
    if not isinstance(input_shape, (list, tuple)) or not input_shape:
        raise ValueError(
            "Argument `input_shape` must be a shape with the batch axis. "
            f"Received: input_shape={input_shape!r}"
        )
    base = known_base(layer)
    if base is None:
        return None
    rule = _RULES.get(base) or _UNEXPORTED[base.__name__]
    constant = rule(layer, tuple(input_shape))
    return None if constant is None else float(constant)


def register_unexported(name: str, rule: Rule) -> None:
    """Make the constant of a layer class known that Keras uses in its networks and keeps inside."""
    _UNEXPORTED[name] = rule


def known_base(layer: Any) -> type | None:
    """The class of a layer that has a rule, if the layer computes what that class does.

    A subclass that computes something else has no constant until it is registered itself.
    """
    for place, base in enumerate(classes := type(layer).__mro__):
        if base in _RULES or (_is_inside_keras(base) and base.__name__ in _UNEXPORTED):
            own = {name for subclass in classes[:place] for name in vars(subclass)}
            anew = {name for name in own if hasattr(base, name) and not name.startswith("__")}
            return None if anew.difference(_HARMLESS) or "__call__" in own else base
    return None


def _is_inside_keras(layer_class: type) -> bool:
    return layer_class.__module__.partition(".")[0] == "keras"


def check_built(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose weights do not exist yet."""
    if not layer.built:
        raise ValueError(
            "Argument `layer` must be built before its constant can be computed. "
            f"Received: layer={type(layer).__name__} named '{layer.name}'"
        )
