"""Which layers of a model are wrapped, and by what."""

from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import kernels
from tfspecnorm.kernels.composites import is_position_table, is_unit
from tfspecnorm.kernels.containers import Place, held_in, is_graph, layers_in, walk
from tfspecnorm.kernels.holders import has_unknown_matrix
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery._exchange import makes_wrappers

Wrapper = Callable[[keras.layers.Layer], keras.layers.Layer]
Rule = Callable[[keras.layers.Layer], Wrapper | None]

# They run what they hold again and again: wrapped as a whole, kernels are computed once in a call.
_LOOPS = (keras.layers.Bidirectional, keras.layers.RNN, keras.layers.TimeDistributed)


def rule_of(wrapper: Any) -> Rule:
    """Function from a layer to what wraps it, `None` to leave it."""
    if isinstance(wrapper, dict) and wrapper:
        classes = all(
            isinstance(key, type) and issubclass(key, keras.layers.Layer) for key in wrapper
        )
        if classes and all(value is None or makes_wrappers(value) for value in wrapper.values()):

            def nearest(layer: keras.layers.Layer) -> Wrapper | None:
                rules = (wrapper[base] for base in type(layer).__mro__ if base in wrapper)
                rule = next(rules, None)
                if rule is None and isinstance(layer, keras.layers.Bidirectional):
                    return nearest(layer.forward_layer)
                return rule

            return nearest
    elif makes_wrappers(wrapper):
        return lambda layer: wrapper
    raise ValueError(
        "Argument `wrapper` must be a wrapper of `tfspecnorm.layers`, a function from a layer to "
        "one, or a dict from layer class to one of these or `None`. "
        f"Received: wrapper={wrapper!r}"
    )


def chosen_in(
    model: keras.Model, where: Callable[[keras.layers.Layer], bool] | None, rule: Rule
) -> list[keras.layers.Layer]:
    """The chosen layers, outermost first: what a chosen or wrapped layer holds is part of it."""

    def is_wanted(layer: keras.layers.Layer) -> bool:
        return (where is None or bool(where(layer))) and rule(layer) is not None

    def is_met(layer: keras.layers.Layer) -> bool:
        if isinstance(layer, Reparameterization):
            return True
        if is_graph(layer) or isinstance(layer, keras.layers.InputLayer):
            return False
        if is_unit(layer):
            return is_wanted(layer)
        if where is not None and is_wanted(layer) and has_unknown_matrix(layer):
            kernels.check_registered(layer)
        # Otherwise there is nothing to wrap in it, or there are layers in it to be asked for.
        return (
            isinstance(layer, _LOOPS) and any(map(is_unit, layers_in(layer))) and is_wanted(layer)
        )

    def is_chosen(place: Place) -> bool:
        if not place.is_unit or isinstance(place.layer, Reparameterization):
            return False
        return place.layer.built and (where is not None or not is_position_table(place))

    return [place.layer for place in walk(model, is_met, held_in) if is_chosen(place)]
