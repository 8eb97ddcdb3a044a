"""Spectral normalization as a true reparameterization."""

import keras

from tfspecnorm.layers._divided_by_norm import DividedByNorm


@keras.saving.register_keras_serializable(package="tfspecnorm")
class SpectralNorm(DividedByNorm):
    """Divides the kernels of a layer by their spectral norm.

        W̄ = s · W / σ(W),   or with `bound=c`:   W̄ = s · W / max(σ(W) / c, 1)

    The trained variable is the raw kernel W; the layer computes with W̄, and the gradient
    flows through σ in closed form, ∂L/∂W = s/σ · (G − ⟨G, W/σ⟩·v uᵀ) with G = ∂L/∂W̄. A call
    never assigns to W. With `training=True` it moves the power-iteration vectors; evaluation
    and frozen layers use the stored ones and change nothing. Regularizers and constraints of
    the wrapped layer act on W: since W̄ does not depend on the length of W, weight decay
    steers the effective learning rate rather than the size of the layer.

    Guarantee: with the default norm, the matrix that the kernel reshapes to has largest
    singular value s, or s·min(σ, c) with `bound`, once the vectors have converged; they start
    converged (to a few percent where the layer is built inside a traced function). For dense
    layers and embeddings that is the norm of the layer. A convolution's own norm may be larger
    by up to √(taps), see `tfspecnorm.norms.Matrix`. For a depthwise kernel s is an *upper
    bound* of the convolution's norm, at every step, see `tfspecnorm.norms.Fourier`.

    Args:
        layer: Keras layer with known kernels, built or not: dense, einsum, embedding, (separable,
            depthwise, transposed) convolution, attention, recurrent, or one registered with
            `tfspecnorm.kernels.register`; or a `Bidirectional`, `TimeDistributed`, Sequential
            or Functional model of such layers.
        power_iterations: Positive integer, iterations in each training call. Defaults to 1.
        norm: `None` for the norm that fits the kind of each kernel, a name (`"matrix"`,
            `"bidirectional"`, `"operator"`, `"fourier"`, `"gram"`), a norm object, or a dict from
            kernel name to one of these. `"operator"` makes the convolution itself as large as s,
            at the input size that the layer is built for, `"gram"` at most as large, certified.
        scale: Positive number, or one of `tfspecnorm.scales`: `Fixed(c)`, `Learned()`,
            `Tanh(limit)`, a trainable one for each wrapper anew. It multiplies the kernel, never
            the bias. Defaults to 1. The two kernels of a separable convolution are one linear
            map: it counts once, at the pointwise one.
        bound: Positive number c: divide only where σ > c. `None` divides always. For a separable
            convolution σ is the product of the two norms.
        per_gate: Whether each gate of an LSTM, a GRU or a ConvLSTM is divided by a norm of its
            own. By default the kernel from the inputs is one matrix and the kernel from the
            state another.
        jit_compile: Whether XLA compiles the power iteration inside a TensorFlow graph:
            `True`, `False`, or `"auto"`. On JAX the training step is compiled as a whole and
            on PyTorch nothing is. `"auto"` is `False`, which is faster on a CPU.
        **kwargs: `name`, `dtype`, `trainable` of the wrapper. The dtype policy defaults to
            the layer's; floating-point outputs have the wrapper's compute dtype. The vectors
            and all arithmetic on kernels have at least 32 bits.

    Call arguments: those of the wrapped layer, which it receives unchanged.

    Raises:
        ValueError: For a layer that has no known kernels, is quantized, has LoRA enabled or is
            already wrapped; for bad values of the other arguments; for `bound` with
            `scale=Learned()`, which contradict each other.

    Example:

    >>> import numpy as np
    >>> layer = SpectralNorm(keras.layers.Dense(4))
    >>> outputs = layer(np.ones((2, 3), "float32"))
    >>> kernel = layer.effective_kernels()["kernel"]
    >>> round(float(np.linalg.norm(keras.ops.convert_to_numpy(kernel), 2)), 4)
    1.0

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks",
    2018, arXiv:1802.05957.
    """
