"""Norms that do a part of the work: what the parts of spectral normalization take."""

from typing import Any

import keras

from tfspecnorm import layers, norms


@keras.saving.register_keras_serializable(package="benchmarks")
class Constant(norms.Gram):
    """A norm of two for every kernel: a wrapper that divides, and computes nothing."""

    def measure(self, task: norms.Task) -> norms.Measurement:
        """Two, whatever the kernel is."""
        return norms.Measurement(keras.ops.convert_to_tensor(2.0), {}, ())


@keras.saving.register_keras_serializable(package="benchmarks")
class Held(norms.Matrix):
    """The matrix norm with vectors that never move: σ and its gradient without the iteration.

    A wrapper that moved its vectors in every k-th step alone could not be quicker.
    """

    def measure(self, task: norms.Task) -> norms.Measurement:
        """σ = ‖W u‖ for the stored u."""
        return super().measure(task._replace(power_iterations=0))


@keras.saving.register_keras_serializable(package="benchmarks")
class StoredVectors(layers.SpectralNorm):
    """Spectral normalization whose evaluation takes the vectors of the last training call."""

    def _task(self, kernel: Any, value: Any, moves: bool) -> norms.Task:
        """As in training, without an iteration."""
        task = super()._task(kernel, value, moves=True)
        return task if moves else task._replace(power_iterations=0)
