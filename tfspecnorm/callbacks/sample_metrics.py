"""Metrics of generated images while a model trains."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tfspecnorm._util.arguments import check_positive_integer, check_seed
from tfspecnorm.callbacks._samples import (
    generated,
    generator_of,
    trial,
)

_METHODS = ("update_state", "result", "reset_state")
_ATTRIBUTES = ("name", "extractor", "needs_real")


class SampleMetrics(keras.callbacks.Callback):
    """Measures the images that a model generates after epochs.

    The values are added to the logs of the epoch, where `History` and the callbacks behind this one
    in the list see them, as `<metric>/<extractor>`, for example `frechet_distance/inception_v3`.
    They are `nan`, so that every table has the column from its first row on, after an epoch without
    a measurement and after one whose samples are not all finite.

    Guarantee: the real images are looked at once, at the start of training. Every measurement is
    made of the same latent vectors, so that two epochs differ by the training alone. What cannot be
    measured is found before the first epoch: at the start of training two images are generated, and
    each metric is given them on trial and then reset.

    Args:
        metrics: List of `tfspecnorm.metrics.FrechetDistance` and `tfspecnorm.metrics
            .InceptionScore`, or objects with their methods and attributes. They belong to this
            callback while it trains.
        real_images: Float array `(count, height, width, channels)` in [-1, 1]. All of them count.
            At least 2 for a Fréchet distance.
        samples: Positive integer, number of images to generate. Values for other numbers are not
            comparable. At least 2, for an Inception score 2 for each of its splits. Defaults to
            1000.
        every: Positive integer, number of epochs between two measurements. Defaults to 1.
        batch_size: Positive integer, number of images that are generated at once; each batch has a
            seed of its own. Defaults to 100.
        seed: Integer of at least 0, seed of the latent vectors. Defaults to 0.

    Attributes:
        scores: Dict from the name of the column to the last `tfspecnorm.metrics.Score`; empty
            before the first measurement and after one of samples that are not finite.

    Raises:
        ValueError: If an argument is not as above; at the start of training, if the model has no
            method `generate(count, seed=None)` that returns float images `(count, height, width,
            channels)` in [-1, 1], or a metric cannot take them.

    Example:

    >>> from tfspecnorm import metrics
    >>> class Noise(keras.Sequential):
    ...     def generate(self, count, seed=None):
    ...         return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 1, 2))
    >>> pixels = keras.Sequential([keras.Input((1, 1, 2)), keras.layers.Flatten()])
    >>> metric = metrics.FrechetDistance(metrics.extractors.Extractor(pixels, "pixels"))
    >>> callback = SampleMetrics([metric], np.zeros((2, 1, 1, 2)), samples=1000)
    >>> model = Noise([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 1)), np.ones(4), verbose=0, callbacks=[callback])
    >>> [round(value, 1) for value in history.history["frechet_distance/pixels"]]
    [0.7]
    >>> print(callback.scores["frechet_distance/pixels"])
    frechet_distance 0.6... by pixels, 2 real and 1000 generated samples
    """

    def __init__(
        self,
        metrics: Iterable[Any],
        real_images: Any,
        samples: int = 1000,
        every: int = 1,
        batch_size: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.metrics = list(metrics) if isinstance(metrics, Iterable) else [metrics]
        for metric in self.metrics:
            methods = all(callable(getattr(metric, method, None)) for method in _METHODS)
            if not methods or not all(hasattr(metric, name) for name in _ATTRIBUTES):
                raise ValueError(
                    "Argument `metrics` must be a list of metrics of generated images, see "
                    f"`tfspecnorm.metrics`. Received: {metric!r} among them"
                )
        self._columns = [f"{metric.name}/{metric.extractor.name}" for metric in self.metrics]
        if not self._columns or len(set(self._columns)) < len(self._columns):
            raise ValueError(
                "Argument `metrics` must hold at least one metric, and none twice by its name and "
                f"extractor. Received: metrics with the names {self._columns}"
            )
        self.real_images = real_images
        self.samples = check_positive_integer("samples", samples)
        self.every = check_positive_integer("every", every)
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self.seed = check_seed(seed)
        for metric in self.metrics:
            self._check_counts(metric)
        self.scores: dict[str, Any] = {}
        self._real_counted = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        generate = generator_of(self.model, "SampleMetrics")
        images = trial(generate, self.samples, self.seed)
        if not self._real_counted:
            for metric in self.metrics:
                metric.reset_state()
                if metric.needs_real:
                    metric.update_state(real=self.real_images)
            self._real_counted = True
        if np.all(np.isfinite(images)):
            # As many as in a measurement, for which an extractor's network is then compiled.
            count = min(self.samples, self.batch_size)
            images = np.resize(images, (count, *images.shape[1:]))
            for metric in self.metrics:
                metric.update_state(generated=images)
                metric.reset_state(keep_real=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = dict.fromkeys(self._columns, float("nan"))
        if (epoch + 1) % self.every == 0:
            values |= {column: float(score) for column, score in self.measure().items()}
        if logs is not None:
            logs.update(values)

    def measure(self) -> dict[str, Any]:
        """Measure the model as it is now; `fit` does so by itself.

        Returns:
            The new `scores`.
        """
        generate = generator_of(self.model, "SampleMetrics")
        for metric in self.metrics:
            metric.reset_state(keep_real=True)
        starts = range(0, self.samples, self.batch_size)
        seeds = np.random.SeedSequence(self.seed).generate_state(len(starts)) >> 1
        self.scores = {}
        for start, seed in zip(starts, seeds, strict=True):
            count = min(self.batch_size, self.samples - start)
            images = generated(generate, count, int(seed))
            if not np.all(np.isfinite(images)):
                return self.scores
            for metric in self.metrics:
                metric.update_state(generated=images)
        results = [metric.result() for metric in self.metrics]
        self.scores = dict(zip(self._columns, results, strict=True))
        return self.scores

    def _check_counts(self, metric: Any) -> None:
        least = getattr(metric, "least_samples", 1)
        if self.samples < least:
            raise ValueError(
                f"Argument `samples` must be at least {least} for the metric '{metric.name}'. "
                f"Received: samples={self.samples}"
            )
        shape = np.shape(self.real_images)
        if metric.needs_real and (not shape or shape[0] < least):
            raise ValueError(
                f"Argument `real_images` must be at least {least} images for the metric "
                f"'{metric.name}'. Received: real_images of shape {shape}"
            )
