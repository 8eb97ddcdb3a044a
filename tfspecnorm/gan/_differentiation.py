"""What differs between the backends in a training step: gradients, updates, replicas."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

# Note [Scopes]
# On JAX a training step runs in a `StatelessScope`, and what is differentiated in another one
# inside of it: a function without side effects. Every variable that the function reads or
# assigns is mapped there to its value outside, and what was assigned is handed back.


def gradients(
    function: Callable[[], tuple[Any, Any]],
    variables: Sequence[keras.Variable],
    state: Sequence[keras.Variable],
) -> tuple[Any, list[Any]]:
    """Gradients of a scalar in variables, which may be assigned to meanwhile.

    Args:
        function: Callable without arguments that returns the scalar and a structure of tensors.
        variables: The variables to differentiate in; the function does not assign to them.
        state: All variables that the function reads or assigns to.

    Returns:
        The structure of tensors, and a gradient for each of the variables, which is zero where
        the scalar does not depend on it.
    """
    found = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return found[keras.backend.backend()](function, list(variables), list(state))


def slopes(function: Callable[[Any], Any], inputs: Any) -> Any:
    """∂ Σ function(x) / ∂x, itself differentiable in the variables.

    Args:
        function: Callable from a tensor to a tensor, without side effects.
        inputs: Tensor.

    Returns:
        Tensor of the inputs' shape.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            total = ops.sum(function(inputs))
        return tape.gradient(total, inputs)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda values: ops.sum(function(values)))(inputs)
    import torch

    inputs = inputs.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(ops.sum(function(inputs)), inputs, create_graph=True)
    return found


def apply(
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[keras.Variable],
    found: Sequence[Any],
) -> None:
    """One step of a built optimizer with the gradients of its variables."""
    if keras.backend.backend() == "jax":
        # `apply` of a `LossScaleOptimizer` has side effects inside a condition.
        own = list(optimizer.variables)
        updated, own_updated = optimizer.stateless_apply(
            [variable.value for variable in own],
            list(found),
            [variable.value for variable in variables],
        )
        assigned = zip([*variables, *own], [*updated, *own_updated], strict=True)
        for variable, value in assigned:
            variable.assign(value)
    elif keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            optimizer.apply(found, variables)
    else:
        optimizer.apply(found, variables)


def replicas() -> tuple[int, Any]:
    """Number of replicas that share a step, and which one this is."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.num_replicas_in_sync, context.replica_id_in_sync_group
    return 1, 0


def _tensorflow(
    function: Callable[[], tuple[Any, Any]], variables: list[Any], state: list[Any]
) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        scalar, others = function()
    found = tape.gradient(
        scalar,
        [variable.value for variable in variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return others, found


def _jax(
    function: Callable[[], tuple[Any, Any]], variables: list[Any], state: list[Any]
) -> tuple[Any, list[Any]]:
    import jax

    trained = {id(variable) for variable in variables}
    rest = [variable for variable in state if id(variable) not in trained]
    current = [variable.value for variable in rest]

    def pure(values: list[Any]) -> tuple[Any, Any]:
        # See Note [Scopes].
        mapping = zip([*variables, *rest], [*values, *current], strict=True)
        with keras.StatelessScope(list(mapping), initialize_variables=False) as scope:
            scalar, others = function()
            assigned = [scope.get_current_value(variable) for variable in rest]
        return scalar, (others, assigned)

    values = [variable.value for variable in variables]
    found, (others, assigned) = jax.grad(pure, has_aux=True)(values)
    for variable, value in zip(rest, assigned, strict=True):
        variable.assign(value)
    return others, found


def _torch(
    function: Callable[[], tuple[Any, Any]], variables: list[Any], state: list[Any]
) -> tuple[Any, list[Any]]:
    import torch

    scalar, others = function()
    values = [variable.value for variable in variables]
    found = torch.autograd.grad(scalar, values, allow_unused=True)
    found = [
        torch.zeros_like(value) if gradient is None else gradient
        for value, gradient in zip(values, found, strict=True)
    ]
    return keras.tree.map_structure(lambda tensor: tensor.detach(), others), found
