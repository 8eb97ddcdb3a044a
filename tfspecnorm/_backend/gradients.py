"""Gradients of a scalar, and what an optimizer does with them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops, tree

from tfspecnorm._backend.variables import run


def in_values(
    function: Callable[[list[Any]], Any], values: Sequence[Any], again: bool = False
) -> list[Any]:
    """Gradients of a scalar in tensors.

    Args:
        function: Callable from a list of tensors to a scalar, without side effects.
        values: Tensors, or values of variables, which are copied.
        again: Whether the gradients are differentiated in turn.

    Returns:
        A gradient for each tensor, which is zero where the scalar does not depend on it.
    """
    values = [ops.copy(ops.stop_gradient(value)) for value in values]
    if keras.backend.backend() == "torch":
        values = [value.requires_grad_() for value in values]
    _, found = _differentiated(lambda copies: (function(copies), ()), values, again)
    return found


def in_variables(
    function: Callable[[], tuple[Any, Any]],
    variables: Sequence[keras.Variable],
    state: Sequence[keras.Variable],
) -> tuple[Any, list[Any]]:
    """Gradients of a scalar in variables, while other variables may be assigned to.

    Args:
        function: Callable without arguments that returns the scalar and a structure of tensors.
        variables: The variables to differentiate in; the function does not assign to them.
        state: All variables that the function reads or assigns to.

    Returns:
        The structure of tensors, and a gradient for each of the variables, which is zero where
        the scalar does not depend on it.
    """
    values = [variable.value for variable in variables]
    if keras.backend.backend() != "jax":
        others, found = _differentiated(lambda _: function(), values)
        return tree.map_structure(ops.stop_gradient, others), found
    trained = {id(variable) for variable in variables}
    rest = [variable for variable in state if id(variable) not in trained]
    current = [variable.value for variable in rest]

    def pure(values: list[Any]) -> tuple[Any, Any]:
        mapping = zip([*variables, *rest], [*values, *current], strict=True)
        (scalar, others), assigned, _ = run(function, mapping)
        return scalar, (others, assigned[len(values) :])

    (others, assigned), found = _differentiated(pure, values)
    for variable, value in zip(rest, assigned, strict=True):
        variable.assign(value)
    return others, found


def _differentiated(
    function: Callable[[list[Any]], tuple[Any, Any]], values: list[Any], again: bool = False
) -> tuple[Any, list[Any]]:
    """What the function returns beside its scalar, and the gradients."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            scalar, others = function(values)
        zero = tf.UnconnectedGradients.ZERO
        return others, tape.gradient(scalar, values, unconnected_gradients=zero)
    if keras.backend.backend() == "jax":
        import jax

        found, others = jax.grad(function, has_aux=True)(values)
        return others, found
    import torch

    scalar, others = function(values)
    found = torch.autograd.grad(scalar, values, create_graph=again, allow_unused=True)
    pairs = zip(values, found, strict=True)
    return others, [torch.zeros_like(value) if part is None else part for value, part in pairs]


def apply(
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[keras.Variable],
    gradients: Sequence[Any],
) -> None:
    """One step of a built optimizer with the gradients of its variables."""
    if keras.backend.backend() == "jax":
        # `apply` of a `LossScaleOptimizer` has side effects inside a condition.
        own = list(optimizer.variables)
        state, values = ([variable.value for variable in part] for part in (own, variables))
        values, state = optimizer.stateless_apply(state, list(gradients), values)
        for variable, value in zip([*variables, *own], [*values, *state], strict=True):
            variable.assign(value)
    elif keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            optimizer.apply(gradients, variables)
    else:
        optimizer.apply(gradients, variables)
