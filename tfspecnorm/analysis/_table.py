"""The table from layer class to the rule for its Lipschitz constant, and how to add to it."""

from collections.abc import Callable
from typing import Any

import keras

Rule = Callable[[Any, tuple], float | None]

_RULES: dict[type, Rule] = {}


def register_constant(layer_class: type, rule: Rule | None = None) -> Callable[..., Any]:
    """Make the Lipschitz constant of a layer class known.

    The rule promises ‖layer(x) − layer(y)‖₂ ≤ L·‖x − y‖₂ at inference, for all inputs x and y of
    the shape, each norm taken over all entries. Where classes of a layer's inheritance have
    several rules, that of the nearest class counts.

    Args:
        layer_class: Subclass of `keras.layers.Layer`; its own subclasses are covered too,
            unless they have a `call` of their own.
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
    base = next((base for base in type(layer).__mro__ if base in _RULES), None)
    # A subclass that computes something else has no constant until it is registered itself.
    if base is None or type(layer).call is not base.call:
        return None
    constant = _RULES[base](layer, tuple(input_shape))
    return None if constant is None else float(constant)


def check_built(layer: Any) -> None:
    """Raise a `ValueError` for a layer whose weights do not exist yet."""
    if not layer.built:
        raise ValueError(
            "Argument `layer` must be built before its constant can be computed. "
            f"Received: layer={type(layer).__name__} named '{layer.name}'"
        )
