"""A network that is traced once and then trained from several starts, at several rates."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.claims.claim import Results
from benchmarks.claims.data import Split
from benchmarks.claims.starts_images import Moved
from benchmarks.rate import Rate
from tfspecnorm import initializers, models, schedules

STARTS = ("robust", "data-dependent", "default")
# An epoch's loss of so many times that of guessing is not made good any more.
_LOST = 100
_FIRST_EPOCHS = 3
# A network that computes the same for all images has the loss of guessing and stays there. It is
# given up after so many epochs, or after that share of all, whatever is more.
_STUCK_EPOCHS, _STUCK_SHARE = 20, 1 / 3
_STUCK = 0.99
# Share of the loss of guessing below which a network has learned something.
_LEARNED = 0.9
_EVALUATED_AT_ONCE = 500
# Momentum of the optimizer, where it is not varied.
MOMENTUM = 0.9


class Trainer:
    """Trains one network again and again with stochastic gradient descent.

    The default start is what Keras gives: v ~ Glorot's uniform distribution, g = ‖v‖, bias 0. The
    robust and the data-dependent start have the same orthogonal v, and all three the same head.

    Args:
        model: Network from images to logits, with its first weights.
        split: The images.
        batch_size: Number of images in a step, and for the data-dependent start at least.
        seed: Seed of the robust start's directions and of the order of the images.
        momentum: Momentum of the optimizer.
    """

    def __init__(
        self,
        model: keras.Model,
        split: Split,
        batch_size: int,
        seed: int,
        momentum: float = MOMENTUM,
    ) -> None:
        self.model, self.split = model, split
        self.batch_size, self.seed = batch_size, seed
        self._starts = {"default": model.get_weights()}
        self.compile(momentum)

    def compile(self, momentum: float) -> None:
        """Take another momentum; the network is traced once more."""
        self.model.compile(
            keras.optimizers.SGD(momentum=momentum),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        self.model.optimizer.build(self.model.trainable_variables)

    def start(self, name: str) -> None:
        """Put the network and its optimizer where they begin."""
        keras.utils.set_random_seed(self.seed)
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        if name in self._starts:
            self.model.set_weights(self._starts[name])
            return
        self.model.set_weights(self._starts["default"])
        _robust(self.model, self.seed)
        if name == "data-dependent":
            images, _ = self.split.training
            initializers.data_dependent(self.model, images[: max(self.batch_size, 128)])
        self._starts[name] = self.model.get_weights()

    def train(
        self,
        start: str,
        rate: float,
        epochs: int,
        warm_up: int = 0,
        select: bool = False,
        shift: int = 0,
    ) -> dict[str, Any]:
        """Losses of the epochs, until the network is lost or stuck, and the test accuracy.

        A network that diverged is not tested, also where an earlier epoch was better.

        Args:
            start: One of `STARTS`.
            rate: Learning rate.
            epochs: Number of epochs.
            warm_up: Steps in which the rate grows quadratically.
            select: Whether to test with the weights of the epoch that is best in validation.
            shift: Images are moved by up to so many pixels, and mirrored if the data allow.
        """
        self.start(start)
        schedule = schedules.QuadraticWarmUp(rate, warm_up) if warm_up else _constant(rate)
        watch = _Watch(math.log(self.split.classes), epochs)
        best = _BestEpoch(self)
        callbacks = [Rate(schedule), keras.callbacks.TerminateOnNaN(), watch]
        images, labels = self.split.training
        fitted: Any = {"x": images, "y": labels, "batch_size": self.batch_size}
        if shift:
            fitted = {"x": Moved(self.split, self.batch_size, shift, self.seed)}
        self.model.fit(
            **fitted,
            epochs=epochs,
            verbose=0,
            callbacks=[*callbacks, best] if select else callbacks,
        )
        found: dict[str, Any] = {"start": start, "rate": rate, "losses": watch.losses}
        if select:
            found["validation"] = best.accuracies
            best.restore()
        return found | {"accuracy": None if watch.lost else self.accuracy(*self.split.test)}

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of right answers; without a graph, which would take longer to trace."""
        found = [
            keras.ops.convert_to_numpy(
                self.model(images[place : place + _EVALUATED_AT_ONCE], training=False)
            ).argmax(axis=-1)
            for place in range(0, len(images), _EVALUATED_AT_ONCE)
        ]
        return float(np.mean(np.concatenate(found) == labels))


def _robust(model: keras.Model, seed: int) -> None:
    if isinstance(model, keras.Sequential) or model.name == "mlp":
        initializers.robust(model, seed=seed)
    else:
        models.robust_start(model, seed)


def _constant(rate: float) -> Callable[[int], float]:
    return lambda step: rate


class _Watch(keras.callbacks.Callback):
    """Keeps the losses, and ends what leads nowhere."""

    def __init__(self, guessing: float, epochs: int) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.lost = False
        self._guessing = guessing
        self._patience = max(_STUCK_EPOCHS, round(_STUCK_SHARE * epochs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))
        last = self.losses[-1]
        early = len(self.losses) < _FIRST_EPOCHS and math.isfinite(last)
        self.lost = not early and not last < _LOST * self._guessing
        if self.lost or self._stuck():
            self.model.stop_training = True

    def _stuck(self) -> bool:
        before, latest = self.losses[: -self._patience], self.losses[-self._patience :]
        return bool(before) and min(latest) > _STUCK * max(min(before), self._guessing)


class _BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch that is best in validation."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.accuracies: list[float] = []
        self._trainer = trainer
        self._weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        finite = math.isfinite(logs["loss"])
        images, labels = self._trainer.split.validation
        accuracy = self._trainer.accuracy(images, labels) if finite else 0.0
        if accuracy > max(self.accuracies, default=0.0):
            self._weights = self._trainer.model.get_weights()
        self.accuracies.append(accuracy)

    def restore(self) -> None:
        """Goes back to that epoch."""
        if self._weights is not None:
            self._trainer.model.set_weights(self._weights)


def learned(row: dict[str, Any], classes: int) -> bool:
    """Whether training ended with a loss clearly below that of guessing."""
    last = final_loss(row)
    return last is not None and last < _LEARNED * math.log(classes)


def final_loss(row: dict[str, Any]) -> float | None:
    """Loss of the last epoch, `None` if it is no number."""
    losses = row["losses"]
    last = losses[-1] if losses else None
    return last if last is not None and math.isfinite(last) else None


def diverged(rows: list[dict[str, Any]]) -> str:
    """How many of the trainings diverged, `""` if none."""
    count = sum(row["accuracy"] is None for row in rows)
    return f"{count} of {len(rows)} diverged" if count else ""


def of_part(results: Results, part: str) -> list[dict[str, Any]]:
    """Options and figures of the runs of a part, as one dictionary each, in order of seeds."""
    found = [
        result["options"] | result["figures"]
        for result in results.values()
        if result["options"]["part"] == part
    ]
    return sorted(found, key=lambda run: run["seed"])
