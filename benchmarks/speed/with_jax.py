"""Training steps of Keras models on JAX, compiled as `fit` compiles them.

They are called one after the other on a state that stays on the device, so that what is measured is
the step, and not how Keras hands its variables over.
"""

from collections.abc import Callable
from typing import Any

import jax
import keras


def step_of(made: keras.Model, data: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """The step of a compiled model, not traced yet, the state that it starts from, and the batch.

    Args:
        made: Model with an optimizer.
        data: Arrays of a batch.

    Returns:
        A function from a state and a batch to logs and the next state, which takes the place of
        the first; the state; the batch on the device.
    """
    made.optimizer.build(made.trainable_variables)
    groups = (
        made.trainable_variables,
        made.non_trainable_variables,
        made.optimizer.variables,
        made.metrics_variables,
    )
    state = tuple([jax.numpy.array(variable.value) for variable in group] for group in groups)
    return jax.jit(made.train_step, donate_argnums=0), state, jax.device_put(data)


def run_of(step: Callable[..., Any], state: Any, data: Any, steps: int) -> Callable[[], None]:
    """A run of steps, each from the state that the last one left, until the last is done."""
    held = [state]

    def run() -> None:
        for _ in range(steps):
            logs, held[0] = step(held[0], data)
        jax.block_until_ready((logs, held[0]))

    return run
