"""Spectral normalization as a true reparameterization."""

import keras

from tfspecnorm.layers._divided_by_norm import DividedByNorm


@keras.saving.register_keras_serializable(package="tfspecnorm")
class SpectralNorm(DividedByNorm):
    """Divides the kernels of a layer by their spectral norm.

        W̄ = s · W / σ(W),   or with `bound=c`:   W̄ = s · W / max(σ(W) / c, 1)

    The trained variable is the raw kernel W; the layer computes with W̄, and the gradient
    flows through σ in closed form, ∂L/∂W = s/σ · (G − ⟨G, W/σ⟩·v uᵀ) with G = ∂L/∂W̄. A call
    never assigns to W. With `training=True` it moves the power-iteration vectors, which track
    the norm. Everywhere else, in evaluation, `predict`, frozen layers, `sigma`,
    `effective_kernels` and `tfspecnorm.fold`, the norm is measured anew: there W̄ is a function of
    W alone, and nothing changes. Regularizers and constraints of the wrapped layer act on W:
    since W̄ does not depend on the length of W, weight decay steers the effective learning rate
    rather than the size of the layer.

    Guarantee: outside of training the matrix that the kernel reshapes to has largest singular
    value s, or s·min(σ, c) with `bound`, within 1e-3 and never above s·c, whatever happened to the
    kernel (for a matrix with more than 512 rows and columns as surely as a search from a random
    vector finds its norm); with another norm that norm has this value. In training it is tracked:
    after a step of Adam it may be off by a few percent. For dense layers and embeddings that is
    the norm of the layer. A convolution's own norm may be larger by up to √(taps), see
    `tfspecnorm.norms.Matrix`. For a depthwise kernel s is an *upper bound* of the convolution's
    norm, at every step, see `tfspecnorm.norms.Fourier`.

    First derivatives are exact, in evaluation too, as are mixed ones in inputs and W, of which a
    gradient penalty is made. A second derivative in W takes the vectors for constants.

    Range: outside of training every normal float32 kernel, from 1.2e-38 to 3.4e38; denormal
    numbers are zeros on TensorFlow and JAX. In training kernels whose largest entry is between
    1e-33 and 1e36: to build a layer with another one, or to `warm_up`, is a `ValueError`.

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
            on PyTorch nothing is. `"auto"` is `False`: on a CPU one or two iterations gain
            nothing, see `docs/performance.md`, and on a GPU nothing was measured.
        tracked_vectors: Positive integer p, vectors that follow the kernel in training: 4 track a
            moving kernel several times as closely as one, for a few more operations in each step,
            see `docs/norms.md`. Norms without vectors do not care. Defaults to 1.
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
