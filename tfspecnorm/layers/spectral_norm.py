"""Spectral normalization as a true reparameterization."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm import kernels, norms
from tfspecnorm.layers import _warm_start, scales
from tfspecnorm.layers._quotient import quotient
from tfspecnorm.layers._reparameterization import (
    Reparameterization,
    at_least_32_bits,
    read_master,
    state_dtype,
)


@keras.saving.register_keras_serializable(package="tfspecnorm")
class SpectralNorm(Reparameterization):
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
    by up to √(taps), see `tfspecnorm.norms.Matrix`.

    Args:
        layer: Keras layer with known kernels, built or not: `Dense`, `EinsumDense`,
            `Embedding`, `Conv1D`/`2D`/`3D`, their transposed, depthwise and separable forms,
            `MultiHeadAttention`, `SimpleRNN`, `LSTM`, `GRU`, or one registered with
            `tfspecnorm.kernels.register`.
        power_iterations: Positive integer, iterations in each training call. Defaults to 1.
        norm: `None` for the norm that fits the kind of each kernel, a name (`"matrix"`), a
            norm object, or a dict from kernel name to one of these.
        scale: Positive number, or one of `tfspecnorm.scales`: `Fixed(c)`, `Learned()`,
            `Tanh(limit)`. It multiplies the kernel, never the bias. Defaults to 1.
        bound: Positive number c: divide only where σ > c. `None` divides always.
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

    >>> layer = SpectralNorm(keras.layers.Dense(4))
    >>> outputs = layer(np.ones((2, 3), "float32"))
    >>> kernel = layer.effective_kernels()["kernel"]
    >>> round(float(np.linalg.norm(ops.convert_to_numpy(kernel), 2)), 4)
    1.0

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks",
    2018, arXiv:1802.05957.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        power_iterations: int = 1,
        norm: Any = None,
        scale: Any = 1.0,
        bound: float | None = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        _check_options(power_iterations, bound, jit_compile)
        self.power_iterations = int(power_iterations)
        self.norm = _resolved(norm)
        self.scale = scales.get(scale)
        self.bound = None if bound is None else float(bound)
        self.jit_compile = jit_compile
        if bound is not None and isinstance(self.scale, scales.Learned):
            raise ValueError(
                "Argument `bound` must be `None` with `scale=Learned()`: a learned scale undoes "
                f"the bound. Received: bound={bound!r}"
            )
        self._state = {}
        self._scale_variables = {}

    def build(self, input_shape: Any = None, **shapes: Any) -> None:
        super().build(input_shape, **shapes)
        if isinstance(self.norm, dict):
            names = {kernel.name for kernel in kernels.kernels_of(self.layer)}
            unknown = sorted(set(self.norm) - names)
            if unknown:
                raise ValueError(
                    f"Argument `norm` must have keys among the layer's kernels {sorted(names)}. "
                    f"Received: norm with {unknown}"
                )

    def create_state(self, kernel: kernels.Kernel) -> None:
        norm = self._norm(kernel)
        start = _warm_start.WarmStart(norm, kernel)
        several = len(kernels.kernels_of(self.layer)) > 1
        prefix = f"{kernel.name}_" if several else ""
        dtype = state_dtype(kernel.variable.dtype)
        self._state[kernel.name] = {
            name: self.add_weight(
                name=prefix + name,
                shape=shape,
                initializer=start.initializer(name),
                dtype=dtype,
                trainable=False,
                autocast=False,
                aggregation="mean",
            )
            for name, shape in norm.state_shapes(kernel.linear_map).items()
        }
        if self.scale.trainable:
            self._scale_variables[kernel.name] = self.add_weight(
                name=prefix + "scale",
                shape=(),
                initializer=start.scale_initializer(self.scale),
                dtype=dtype,
                autocast=False,
                trainable=kernel.variable.trainable,
            )

    def reparameterize(self, kernel: kernels.Kernel, value: Any, training: bool) -> Any:
        measured = self._measure(kernel, value, self.power_iterations if training else 0)
        if training:
            for name, variable in self._state[kernel.name].items():
                variable.assign(measured.state[name])
        variable = self._scale_variables.get(kernel.name)
        scale = self.scale(None if variable is None else variable.value)
        return quotient(value, measured, scale, self.bound)

    def sigma(self) -> dict[str, Any]:
        """The norm of each raw kernel, measured with the stored vectors.

        Returns:
            Dict from kernel name (`"kernel"`, ...) to a scalar tensor.

        Raises:
            ValueError: If the wrapper is not built.

        Example:

        >>> layer = SpectralNorm(keras.layers.Dense(4, kernel_initializer="orthogonal"))
        >>> layer.build((None, 4))
        >>> round(float(layer.sigma()["kernel"]), 4)
        1.0
        """
        self.check_built("sigma")
        return read_master(
            lambda: {
                kernel.name: ops.stop_gradient(
                    self._measure(kernel, at_least_32_bits(kernel.variable.value)).sigma
                )
                for kernel in kernels.kernels_of(self.layer)
            }
        )

    def warm_up(self) -> None:
        """Converge the vectors to the kernels as they are now.

        Call it after kernels were loaded or assigned from elsewhere: vectors of other kernels
        make σ too small. Trainable scales are not touched.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("warm_up")
        for kernel in kernels.kernels_of(self.layer):
            self._restart_vectors(kernel)

    def restart(self) -> None:
        """Start vectors and trainable scales anew, as if the layer were built with its kernels.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("restart")
        for kernel in kernels.kernels_of(self.layer):
            start = self._restart_vectors(kernel)
            if self.scale.trainable:
                initial = self.scale.initial_value(start.sigma())
                self._scale_variables[kernel.name].assign(initial)

    def get_config(self) -> dict[str, Any]:
        norm = self.norm
        if self.built:
            norm = {kernel.name: self._norm(kernel) for kernel in kernels.kernels_of(self.layer)}
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
            "norm": _serialized(norm),
            "scale": keras.saving.serialize_keras_object(self.scale),
            "bound": self.bound,
            "jit_compile": self.jit_compile,
        }

    def _restart_vectors(self, kernel: kernels.Kernel) -> _warm_start.WarmStart:
        start = _warm_start.WarmStart(self._norm(kernel), kernel)
        for name, value in start.state().items():
            self._state[kernel.name][name].assign(value)
        return start

    def _norm(self, kernel: kernels.Kernel) -> Any:
        norm = self.norm.get(kernel.name) if isinstance(self.norm, dict) else self.norm
        return norms.default_norm(kernel.linear_map) if norm is None else norm

    def _measure(
        self, kernel: kernels.Kernel, value: Any, power_iterations: int = 0
    ) -> norms.Measurement:
        # A copy: an in-place update must not reach a gradient that still needs these values.
        state = {
            name: ops.stop_gradient(ops.copy(variable.value))
            for name, variable in self._state[kernel.name].items()
        }
        norm = self._norm(kernel)
        return norm(value, state, kernel.linear_map, power_iterations, self.jit_compile is True)


def _check_options(power_iterations: Any, bound: Any, jit_compile: Any) -> None:
    if (
        isinstance(power_iterations, bool)
        or not isinstance(power_iterations, (int, np.integer))
        or power_iterations < 1
    ):
        raise ValueError(
            "Argument `power_iterations` must be a positive integer. "
            f"Received: power_iterations={power_iterations!r}"
        )
    if bound is not None:
        scales.check_positive("bound", bound, " or `None`")
    if not isinstance(jit_compile, bool) and jit_compile != "auto":
        raise ValueError(
            'Argument `jit_compile` must be `True`, `False` or `"auto"`. '
            f"Received: jit_compile={jit_compile!r}"
        )


def _resolved(norm: Any) -> Any:
    if isinstance(norm, dict) and "class_name" not in norm:
        return {name: None if value is None else norms.get(value) for name, value in norm.items()}
    return None if norm is None else norms.get(norm)


def _serialized(norm: Any) -> Any:
    if isinstance(norm, dict):
        return {name: _serialized(value) for name, value in norm.items()}
    return None if norm is None else keras.saving.serialize_keras_object(norm)
