"""Bidirectional spectral normalization."""

from typing import Any, NoReturn

import keras

from tfspecnorm.kernels import held_by
from tfspecnorm.kernels.description import UnsuitableLayerError
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.norms import Bidirectional


@keras.saving.register_keras_serializable(package="tfspecnorm")
class BidirectionalSpectralNorm(DividedByNorm):
    """Divides the kernels of a layer by the mean of their two reshape norms: BSN, and BSSN.

        W̄ = s · W / σ,   σ = (σ₁(W) + σ₂(W)) / 2

    σ₁ is the norm that `SpectralNorm` divides by, of the kernel as a matrix
    `(taps · inputs, outputs)`; σ₂ that of the kernel with inputs and outputs exchanged,
    `(taps · outputs, inputs)`. Each has vectors of its own. It is the mean of the two norms that
    divides, not a mean of two normalized kernels. With `scale=c` this is BSSN. A kernel without
    taps (`Dense`, 1×1 convolutions, attention, `LSTM`) has one matrix: there it equals
    `SpectralNorm`. As there, the gradient flows through σ, a call never assigns to W, and
    training moves the vectors alone.

    Guarantee: outside of training the kernel that the layer computes with has (σ₁ + σ₂) / 2 = s
    within 1e-3; in training it is tracked. It is an *estimate* of the size of the convolution.
    With weights drawn independently of variance v, those of W̄ have a variance of order
    1/(taps · (inputs + outputs)), as in Xavier's initialization.

    Args:
        layer: Keras layer with known kernels, built or not, but no embedding: looking up a row
            has no fan-in that a second norm could stand for.
        power_iterations: Positive integer, iterations in each training call. Defaults to 1.
        scale: Positive number, or one of `tfspecnorm.scales`. It multiplies the kernel, never
            the bias. Defaults to 1.
        bound: Positive number c for s·W/max(σ/c, 1), or `None`.
        per_gate: Whether each gate of a recurrent kernel is divided by a norm of its own.
        jit_compile: As in `SpectralNorm`.
        tracked_vectors: As in `SpectralNorm`.
        **kwargs: `name`, `dtype`, `trainable` of the wrapper.

    Call arguments: those of the wrapped layer, which it receives unchanged.

    Raises:
        ValueError: For an embedding, and as `SpectralNorm` does.

    Example:

    >>> import numpy as np
    >>> layer = BidirectionalSpectralNorm(keras.layers.Conv2D(8, 3), scale=1.2)
    >>> layer.build((None, 6, 6, 3))
    >>> kernel = keras.ops.convert_to_numpy(layer.effective_kernels()["kernel"])
    >>> first = np.linalg.norm(kernel.reshape(27, 8), 2)
    >>> second = np.linalg.norm(kernel.transpose(0, 1, 3, 2).reshape(72, 3), 2)
    >>> round(float(first + second) / 2, 4)
    1.2

    Reference: Lin, Sekar, Fanti, "Why Spectral Normalization Stabilizes GANs: Analysis and
    Improvements", 2021, arXiv:2009.02773.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        power_iterations: int = 1,
        scale: Any = 1.0,
        bound: float | None = None,
        per_gate: bool = False,
        jit_compile: bool | str = "auto",
        tracked_vectors: int = 1,
        **kwargs: Any,
    ) -> None:
        if "norm" in kwargs:
            raise ValueError(
                "Argument `norm` must be left out: the norm is that of both reshapes. Use "
                f"`SpectralNorm` for another one. Received: norm={kwargs['norm']!r}"
            )
        super().__init__(
            layer,
            power_iterations,
            norm=Bidirectional(),
            scale=scale,
            bound=bound,
            per_gate=per_gate,
            jit_compile=jit_compile,
            tracked_vectors=tracked_vectors,
            **kwargs,
        )
        for part in held_by(layer):
            if isinstance(part, keras.layers.Embedding):
                _refuse_embedding(part)

    def _check_kernels(self) -> None:
        super()._check_kernels()
        if any(kernel.linear_map.kind == "embedding" for kernel in self.kernels):
            _refuse_embedding(self.layer)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["norm"]
        return config


def _refuse_embedding(layer: keras.layers.Layer) -> NoReturn:
    raise UnsuitableLayerError(
        "not be an embedding: its second norm would be the first. Use `SpectralNorm`", layer
    )
