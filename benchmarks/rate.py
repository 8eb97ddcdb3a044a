"""Learning rates of a schedule, set from outside the optimizer."""

from collections.abc import Callable
from typing import Any

import keras


class Rate(keras.callbacks.Callback):
    """Sets the rate of each step: a schedule in the optimizer would be traced for every rate.

    Args:
        schedule: Function from the number of the step to the rate.
    """

    def __init__(self, schedule: Callable[[int], Any]) -> None:
        super().__init__()
        self._schedule = schedule
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = float(self._schedule(self._step))
        self._step += 1
