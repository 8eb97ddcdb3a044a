"""Values of variables: read, assigned, and exchanged for the time of a call."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from tfspecnorm._backend.operations import ops

_BACKEND = keras.backend.backend()
_PRECISE = ("float32", "float64")

# Note [Scopes]
# Inside a `StatelessScope` every read of a variable gives the value that is mapped to it, and
# every assignment stays in the scope, on all backends. The scope hides the scope around it, which
# in a JAX training step holds the weights and their gradients. So map every variable that the
# function reads or assigns, if need be to its value outside.


def read(variable: keras.Variable) -> Any:
    """The value of a variable as a tensor of at least 32 bits."""
    value = variable.value
    if _BACKEND == "tensorflow":
        # A mirrored variable passes for a tensor and would stay a variable.
        value = ops.reshape(value, variable.shape)
    return value if variable.dtype in _PRECISE else ops.cast(value, "float32")


def read_all(variables: Mapping[str, keras.Variable]) -> dict[str, Any]:
    """The values of variables to which the same call assigns, by name."""
    values = {}
    for name, variable in variables.items():
        value = ops.convert_to_tensor(variable.value)
        # PyTorch updates in place, which must not reach a gradient that still needs this value.
        values[name] = ops.copy(value) if _BACKEND == "torch" else value
    return values


def keep_in(layer: keras.layers.Layer, variables: Mapping[str, keras.Variable]) -> None:
    """Let a built layer's checkpoint on TensorFlow, or `state_dict` on PyTorch, hold variables.

    Keras' own tracker takes no more variables into a layer that is built.
    """
    for name, variable in variables.items():
        if _BACKEND == "tensorflow":
            setattr(layer, name, variable.value)
    list_parameters(layer)


def list_parameters(layer: keras.layers.Layer) -> None:
    """Let the parameters of a layer on PyTorch be all of its variables, also later ones."""
    for variable in layer.variables if _BACKEND == "torch" else ():
        if variable.path not in layer.torch_params:
            layer.torch_params[variable.path] = variable.value


def run(
    function: Callable[[], Any],
    mapping: Iterable[tuple[keras.Variable, Any]],
    *,
    assign: bool = False,
    collect_losses: bool = False,
    losses_to: keras.layers.Layer | None = None,
    makes_variables: bool = False,
) -> tuple[Any, list[Any], list[Any]]:
    """Call a function with other values of variables, see Note [Scopes].

    Args:
        function: Callable without arguments.
        mapping: Pairs of a variable and its value in the call.
        assign: Whether variables to which the function assigns get their new values afterwards.
        collect_losses: Whether losses that layers add are returned, and not kept by the layers.
        losses_to: With `collect_losses`, what takes the losses unless a scope around does.
        makes_variables: Whether variables that the function makes are initialized, except on JAX,
            where that is impossible while a function is traced.

    Returns:
        What the function returned, the mapped variables' values after it, and the losses.
    """
    mapping = list(mapping)
    creates = makes_variables and _BACKEND != "jax"
    before, values = [], []
    with keras.StatelessScope(mapping, collect_losses, initialize_variables=creates) as scope:
        # Plain loops: a wrapper runs its layer like this in each call.
        for variable, _ in mapping:
            before.append(scope.get_current_value(variable))
        outputs = function()
        for variable, _ in mapping:
            values.append(scope.get_current_value(variable))
    if losses_to is not None:
        # A loss counts once.
        around = scope.original_scope
        if around is None and scope.losses:
            losses_to.add_loss(scope.losses)
        elif around is not None and around.collect_losses:
            for loss in scope.losses:
                around.add_loss(loss)
    if assign:
        for (variable, _), old, new in zip(mapping, before, values, strict=True):
            if new is not old:
                variable.assign(new)
    return outputs, values, scope.losses


def step(model: keras.Model, function: Callable[[Any], Any], arguments: tuple[Any, ...]) -> Any:
    """What Keras wants of `train_step` or `test_step`: logs, on JAX with the new state.

    Args:
        model: The model, whose variables the function reads and assigns.
        function: Callable from data to logs.
        arguments: What Keras calls the step with: on JAX a state and data, elsewhere data.
    """
    if _BACKEND != "jax":
        return function(*arguments)
    state, data = arguments
    groups = [model.trainable_variables, model.non_trainable_variables, model.metrics_variables]
    if len(state) > len(groups):
        # Only training has an optimizer.
        groups.insert(2, model.optimizer.variables)
    pairs = [zip(group, part, strict=True) for group, part in zip(groups, state, strict=True)]
    logs, values, _ = run(lambda: function(data), itertools.chain(*pairs))
    remaining = iter(values)
    return logs, tuple([next(remaining) for _ in group] for group in groups)


def random_numbers_kept(tensors: Iterable[Any]) -> contextlib.AbstractContextManager[Any]:
    """A context that leaves PyTorch's global generators as they were, on the tensors' devices."""
    if _BACKEND != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng({part.device for part in tensors if part.device.type == "cuda"})
