"""Gradients of a discriminator in its kernels and its images, and the size of its kernels."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfspecnorm
from benchmarks.claims.gan_setup import rounded
from tfspecnorm.gan.losses import Hinge


class Slopes:
    """Measures a discriminator, in evaluation mode: it changes nothing.

    The gradient that training follows is that of the loss in the raw kernels W. Theory speaks of
    the outputs and of the kernels W̄ = c·W/σ, as do the bounds of the paper; these gradients are
    taken in a plain copy, whose kernels are W̄.

    Args:
        discriminator: Model of layers with one kernel each, in wrappers or not.

    Attributes:
        layers: Names of the layers with kernels.
    """

    def __init__(self, discriminator: keras.Model) -> None:
        self._model = discriminator
        self._wrappers = {
            _inner(layer).name: layer
            for layer in discriminator.layers
            if hasattr(_inner(layer), "kernel")
        }
        self.layers = tuple(self._wrappers)
        self._raw = [_inner(layer).kernel for layer in self._wrappers.values()]
        self._plain = tfspecnorm.fold(discriminator)
        self._computed = [self._plain.get_layer(name).kernel for name in self.layers]
        self._of_loss = tf.function(self._loss_gradients)
        self._of_outputs = tf.function(self._output_gradients)

    def measure(self, real: np.ndarray, fake: np.ndarray) -> dict[str, Any]:
        """Norms of gradients by layer, and of kernels.

        Args:
            real: Images in [-1, 1].
            fake: As many generated images.

        Returns:
            Dict with, by layer, `loss`: of the loss in W, `output`: of the mean output in W̄,
            `sigma`: the largest singular value of W as a matrix (taps · inputs, outputs),
            `variance`: that of the entries of W̄ times the matrix' longer side; and `real` and
            `fake`: dicts of median, least and largest norm of single outputs' gradients in the
            image.
        """
        self._follow()
        real, fake = tf.constant(real), tf.constant(fake)
        of_loss = self._of_loss(real, fake)
        of_outputs, of_images = self._of_outputs(tf.concat([real, fake], 0))
        norms = np.linalg.norm(of_images.numpy().reshape(len(of_images), -1), axis=1)
        return {
            "loss": [rounded(np.linalg.norm(gradient)) for gradient in of_loss],
            "output": [rounded(np.linalg.norm(gradient)) for gradient in of_outputs],
            "real": _summary(norms[: len(real)]),
            "fake": _summary(norms[len(real) :]),
            "sigma": [rounded(_norm(_matrix(kernel))) for kernel in self._raw],
            "variance": [rounded(_variance(_matrix(kernel))) for kernel in self._computed],
        }

    def _follow(self) -> None:
        """Give the plain copy the weights of the discriminator."""
        for name, layer in self._wrappers.items():
            plain, inner = self._plain.get_layer(name), _inner(layer)
            wrapped = inner is not layer
            plain.kernel.assign(layer.effective_kernels()["kernel"] if wrapped else inner.kernel)
            plain.bias.assign(inner.bias)

    def _loss_gradients(self, real: tf.Tensor, fake: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = [self._model(images, training=False) for images in (real, fake)]
            loss = Hinge().discriminator(*logits)
        return tape.gradient(loss, [kernel.value for kernel in self._raw])

    def _output_gradients(self, images: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = tf.reduce_sum(self._plain(images, training=False))
        variables = [kernel.value for kernel in self._computed]
        *of_kernels, of_images = tape.gradient(outputs, [*variables, images])
        # The mean output's in the kernels, each output's own in its image.
        return [gradient / len(images) for gradient in of_kernels], of_images


def _inner(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, keras.layers.Wrapper) else layer


def _matrix(kernel: keras.Variable) -> np.ndarray:
    values = keras.ops.convert_to_numpy(kernel).astype("float64")
    return values.reshape(-1, values.shape[-1])


def _norm(matrix: np.ndarray) -> float:
    # The decomposition of what is not finite is an error.
    return float(np.linalg.norm(matrix, 2)) if np.all(np.isfinite(matrix)) else float("nan")


def _variance(matrix: np.ndarray) -> float:
    return float(np.var(matrix)) * max(matrix.shape)


def _summary(norms: np.ndarray) -> dict[str, float]:
    found = {"median": np.median(norms), "least": norms.min(), "largest": norms.max()}
    return {name: rounded(value) for name, value in found.items()}
