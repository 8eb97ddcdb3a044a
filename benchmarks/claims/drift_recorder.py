"""A callback that measures what the claims on drift and gradients are about."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.claims import data, drift_measures
from benchmarks.claims.classifiers import Protocol


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    """Puts back after it what a call in training mode changes in a model."""
    trained = {id(variable) for variable in model.trainable_variables}
    others = [variable for variable in model.variables if id(variable) not in trained]
    values = [keras.ops.convert_to_numpy(variable).copy() for variable in others]
    yield
    for variable, value in zip(others, values, strict=True):
        variable.assign(value)


class Recorder(keras.callbacks.Callback):
    """Measures before the first epoch and after each one.

    Args:
        split: The images; activations are those of one batch of images for the test.
        protocol: Numbers of epochs and of images in a mini-batch.
        count: Number of mini-batches that the covariance is taken over.
        watched: Number of images whose activations are looked at, or less if there are not as many.
    """

    def __init__(self, split: data.Split, protocol: Protocol, count: int, watched: int) -> None:
        super().__init__()
        images, labels = split.training
        random = np.random.default_rng(0)
        chosen = random.integers(len(images), size=(count, protocol.batch_size))
        self.batches = [(images[own], labels[own]) for own in chosen]
        self.watched = split.test[0][:watched]
        # The gradient changes most in the beginning.
        self.moments = {0, 1, *np.linspace(0, protocol.epochs, 6).astype(int).tolist()}
        self.figures: dict[str, Any] = {
            name: {} for name in ("activations", "kernels", "used", "zeros", "covariance")
        }
        self.figures["moments"] = sorted(self.moments)

    def on_train_begin(self, logs: Any = None) -> None:
        self.gradients = Gradients(self.model)
        self.pre_activations = drift_measures.pre_activations(self.model)
        self.start = self._activations()
        self._record(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._record(epoch + 1)

    def _activations(self) -> dict[str, np.ndarray]:
        # In evaluation, running means that have not followed yet would count as drift.
        with unchanged(self.model):
            found = self.pre_activations(self.watched, training=True)
        return {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}

    def _record(self, epoch: int) -> None:
        for name, values in self._activations().items():
            own = drift_measures.moments(values)
            own["channels"] = drift_measures.channel_drift(values, self.start[name])
            self._append("activations", name, own)
        for kind, variables in (
            ("kernels", drift_measures.kernels(self.model)),
            ("used", drift_measures.used_kernels(self.model)),
        ):
            for name, kernel in variables.items():
                values = keras.ops.convert_to_numpy(kernel)
                self._append(kind, name, drift_measures.moments(values))
        whole = epoch in self.moments
        for name, rows in self.gradients(self.batches if whole else self.batches[:1]).items():
            self._append("zeros", name, {"share": drift_measures.zero_share(rows[0])})
            if whole:
                self._append("covariance", name, drift_measures.covariance(rows))

    def _append(self, kind: str, layer: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.figures[kind].setdefault(layer, {}).setdefault(name, []).append(value)


class Gradients:
    """Gradients of a loss in training mode, which change nothing in the model.

    Args:
        model: Compiled model.
    """

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        self.model = model
        self.kernels = drift_measures.kernels(model)
        variables = [kernel.value for kernel in self.kernels.values()]

        @tf.function(reduce_retracing=True)
        def gradients(images: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = model.compute_loss(images, labels, model(images, training=True))
            return tape.gradient(loss, variables)

        self._gradients = gradients

    def __call__(self, batches: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        """The gradient of each kernel in each mini-batch, as the rows of a matrix."""
        rows: dict[str, list[np.ndarray]] = {name: [] for name in self.kernels}
        for images, labels in batches:
            # Each mini-batch is one that the same network gets.
            with unchanged(self.model):
                found = self._gradients(images, labels)
            for name, gradient in zip(rows, found, strict=True):
                rows[name].append(keras.ops.convert_to_numpy(gradient).ravel())
        return {name: np.stack(own) for name, own in rows.items()}
