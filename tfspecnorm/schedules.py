"""Learning-rate schedules."""

from typing import Any

import keras
from keras import ops

from tfspecnorm._util.arguments import check_positive_integer, is_number


@keras.saving.register_keras_serializable(package="tfspecnorm")
class QuadraticWarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is approached with the square of the step.

        rate(t) = r₀ + (r(t) − r₀)·min((t + δ) / T, 1)²,   δ = 1 if r₀ = 0, else 0

    Deep weight-normalized networks start with it: the first steps change directions of weights
    most. As in the authors' code, no step has the rate 0: with r₀ = 0 the first one has r/T². Where
    `learning_rate` is a schedule r(t), its steps count from the first step of training, so its
    milestones stay where they are, whatever the warm-up.

    Args:
        learning_rate: Positive number r, or a Keras learning-rate schedule.
        warm_up_steps: Positive integer T, a number of training steps (not of epochs).
        initial_learning_rate: Number r₀ ≥ 0 that the rate starts from. Defaults to 0.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> schedule = QuadraticWarmUp(0.1, warm_up_steps=10)
    >>> [round(float(schedule(step)), 4) for step in (0, 1, 4, 9, 50)]
    [0.001, 0.004, 0.025, 0.1, 0.1]

    Reference: Arpit, Campos, Bengio, "How to Initialize your Network? Robust Initialization for
    WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        warm_up_steps: int,
        initial_learning_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if isinstance(learning_rate, dict):
            learning_rate = keras.saving.deserialize_keras_object(learning_rate)
        is_schedule = isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        if not is_schedule and not (is_number(learning_rate) and learning_rate > 0):
            raise ValueError(
                "Argument `learning_rate` must be a positive number or a learning-rate schedule. "
                f"Received: learning_rate={learning_rate!r}"
            )
        warm_up_steps = check_positive_integer("warm_up_steps", warm_up_steps)
        if not is_number(initial_learning_rate) or initial_learning_rate < 0:
            raise ValueError(
                "Argument `initial_learning_rate` must be a number, 0 or larger. "
                f"Received: initial_learning_rate={initial_learning_rate!r}"
            )
        self.learning_rate = learning_rate if is_schedule else float(learning_rate)
        self.warm_up_steps = warm_up_steps
        self.initial_learning_rate = float(initial_learning_rate)

    def __call__(self, step: Any) -> Any:
        target = self.learning_rate
        if not isinstance(target, float):
            target = ops.cast(target(step), "float32")
        initial = self.initial_learning_rate
        # A first step with the rate 0 would be lost.
        taken = ops.cast(step, "float32") + (1.0 if initial == 0.0 else 0.0)
        share = ops.minimum(taken / self.warm_up_steps, 1.0)
        return initial + (target - initial) * ops.square(share)

    def get_config(self) -> dict[str, Any]:
        rate = self.learning_rate
        if not isinstance(rate, float):
            rate = keras.saving.serialize_keras_object(rate)
        return {
            "learning_rate": rate,
            "warm_up_steps": self.warm_up_steps,
            "initial_learning_rate": self.initial_learning_rate,
        }
