"""The training loss of a network of 200 hidden layers on digits, from two starts, at many rates.

The starts are those of Arpit, Campos, Bengio, 2019, arXiv:1906.02341.
"""

import dataclasses
import itertools
import math
from typing import Any

import keras
import numpy as np

from benchmarks.rate import Rate
from tfspecnorm import initializers, schedules
from tfspecnorm.layers import WeightNorm


@dataclasses.dataclass(frozen=True)
class Digits:
    """The training runs on digits, the same for both starts."""

    hidden_layers: int = 200
    width: int = 128
    epochs: int = 40
    batch_size: int = 128
    warm_up_steps: int = 60
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    momentum: float = 0.9
    # The length of the gradient over all weights is at most this.
    global_clipnorm: float | None = 1.0


SMOKE_DIGITS = Digits(hidden_layers=3, width=16, epochs=2, warm_up_steps=5, rates=(0.03,))


def training_digits() -> tuple[np.ndarray, np.ndarray]:
    """80 % of the digits, shuffled, with mean 0 and deviation 1 over all pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    pixels, _, labels, _ = train_test_split(
        pixels, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return ((pixels - pixels.mean()) / pixels.std()).astype("float32"), labels


class DigitsNetwork:
    """A deep network that is traced once and then trained from many starts."""

    def __init__(self, settings: Digits) -> None:
        keras.utils.clear_session()
        self.settings = settings
        self.pixels, self.labels = training_digits()
        hidden = [
            WeightNorm(keras.layers.Dense(settings.width, activation="relu"))
            for _ in range(settings.hidden_layers)
        ]
        self.head = keras.layers.Dense(10)
        self.model = keras.Sequential([keras.Input((64,)), *hidden, self.head])
        self.model.compile(
            keras.optimizers.SGD(
                momentum=settings.momentum, global_clipnorm=settings.global_clipnorm
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )

    def start(self, start: str, seed: int) -> None:
        """Orthogonal directions in any case; the head and the optimizer start anew."""
        keras.utils.set_random_seed(seed)
        initializers.robust(self.model, seed=seed)
        if start == "data-dependent":
            batch = self.pixels[: self.settings.batch_size]
            initializers.data_dependent(self.model, batch)
        glorot = keras.initializers.GlorotUniform(seed)
        self.head.set_weights([glorot(self.head.kernel.shape), np.zeros(10)])
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape))

    def losses(
        self, start: str, rate: float, seed: int, warm_up: bool = True, below: float = -math.inf
    ) -> list[float]:
        """Training loss of each epoch, until one is below a value or no number any more."""
        self.start(start, seed)
        schedule = schedules.QuadraticWarmUp(rate, self.settings.warm_up_steps if warm_up else 1)
        history = self.model.fit(
            self.pixels,
            self.labels,
            batch_size=self.settings.batch_size,
            epochs=self.settings.epochs,
            verbose=0,
            callbacks=[Rate(schedule), keras.callbacks.TerminateOnNaN(), _StopBelow(below)],
        )
        return history.history["loss"]


class _StopBelow(keras.callbacks.Callback):
    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs["loss"] < self._value:
            self.model.stop_training = True


RUNS = (("robust", True), ("data-dependent", True), ("data-dependent", False))


def digits(settings: Digits, seeds: int) -> list[dict[str, Any]]:
    """The losses of every start, learning rate and seed."""
    network = DigitsNetwork(settings)
    return [
        {
            "start": start,
            "warm_up": warm_up,
            "rate": rate,
            "seed": seed,
            "losses": network.losses(start, rate, seed, warm_up),
        }
        for (start, warm_up), rate, seed in itertools.product(RUNS, settings.rates, range(seeds))
    ]
