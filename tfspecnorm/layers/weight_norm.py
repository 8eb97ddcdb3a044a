"""Weight normalization."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._precision import kernel_value, read_master, state_dtype
from tfspecnorm.layers._reparameterization import Reparameterization
from tfspecnorm.layers._together import ready
from tfspecnorm.layers._warm_start import check_range, concrete
from tfspecnorm.norms import LinearMap
from tfspecnorm.norms.base import TINY


@keras.saving.register_keras_serializable(package="tfspecnorm")
class WeightNorm(Reparameterization):
    """Separates the length of the weights of each output unit from their direction.

        W[:, j] = g[j] · v[:, j] / ‖v[:, j]‖,   j an output unit

    The trained variables are the directions v, which is the wrapped layer's own kernel, and the
    gains g. An output unit is a column of the kernel's matrix view: an output channel of a
    convolution, a unit of `Dense` or of a gate, a channel and multiplier of a depthwise kernel,
    a coordinate of an embedding. At first g = ‖v‖, so that the layer, trained or not, computes
    what it computed before; see `tfspecnorm.initializers` for a start that suits deep networks.
    A unit whose v is zero has W = v, and passes its gradient on.

    Guarantee: *exact*. The weights of unit j have length |g[j]|, whatever v is; W does not change
    when v is made longer.

    Args:
        layer: Keras layer with known kernels, built or not.
        **kwargs: `name`, `dtype`, `trainable` of the wrapper. The gains and all arithmetic on
            kernels have at least 32 bits.

    Variables: beside those of the layer `gain` of shape `(units,)`, or one `..._gain` for each
    kernel if there are several, in the order of the columns of the matrix view.

    Call arguments: those of the wrapped layer, which it receives unchanged.

    Raises:
        ValueError: For a layer that has no known kernels, is quantized, has LoRA enabled or is
            already wrapped.

    Example:

    >>> layer = WeightNorm(keras.layers.Dense(2))
    >>> layer.build((None, 2))
    >>> _ = layer.layer.kernel.assign([[3.0, 0.0], [4.0, 2.0]])
    >>> _ = layer.gains()["kernel"].assign([1.0, 5.0])
    >>> print(keras.ops.convert_to_numpy(layer.effective_kernels()["kernel"]).round(2))
    [[0.6 0. ]
     [0.8 5. ]]

    Reference: Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks", 2016, arXiv:1602.07868.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self._gains: dict[str, keras.Variable] = {}

    def create_state(self, kernel: Kernel) -> None:
        gain = self.add_state(
            kernel,
            "gain",
            shape=(_units(kernel.linear_map),),
            initializer=_lengths_initializer(kernel),
            dtype=state_dtype(kernel.variable.dtype),
        )
        # Made as a trainable one, which it becomes when its layer is no longer frozen.
        gain.trainable = kernel.variable.trainable
        self._gains[kernel.name] = gain

    def reparameterize(self, kernel: Kernel, value: Any, training: bool) -> Any:
        found = ready(self, kernel, self.iterations(kernel, training))
        return self.divided(kernel, value) if found is None else found.effective

    def iterations(self, kernel: Kernel, training: bool) -> int:
        """None: lengths are computed, not approached."""
        return 0

    def task(self, kernel: Kernel, value: Any, power_iterations: int = 0) -> None:
        """Nothing to measure before a kernel is divided."""

    def values_of(self, kernel: Kernel) -> tuple[Any, ...]:
        """The values of the variables that the kernel is computed from."""
        return kernel.variable.value, self._gains[kernel.name].value

    def divided(self, kernel: Kernel, value: Any, task: None = None, measured: None = None) -> Any:
        """The kernel that the layer computes with."""
        *blocks, _, outputs = kernel.linear_map.matrix_shape
        gain = ops.reshape(self._gains[kernel.name].value, (*blocks, 1, outputs))
        matrix = _scaled(kernel.linear_map.matrix(value), gain)
        return kernel.linear_map.kernel(matrix)

    def gains(self) -> dict[str, keras.Variable]:
        """The gain variable of each kernel, by the kernel's name.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("gains")
        return dict(self._gains)

    def warm_up(self) -> None:
        """Does nothing: there are no vectors to converge.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("warm_up")

    def restart(self) -> None:
        """Set the gains to the lengths of the kernels as they are now, so that W = v.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("restart")
        for kernel in self.kernels:
            self._gains[kernel.name].assign(_lengths_initializer(kernel)(None))


# Note [Gradient of a gain]
# With unit columns v̂ and G = ∂L/∂W the gradients of W = g·v̂, v̂ = v/‖v‖, are
#     ∂L/∂g = ⟨G, v̂⟩ for each column,   ∂L/∂v = (G − ⟨G, v̂⟩·v̂) · g/‖v‖.
# On TensorFlow writing this out takes a third off what a first step takes longer. On PyTorch each
# operation would pass through Python, and XLA fuses both to the same.


@traced_once()
def _scaled(matrix: Any, gain: Any) -> Any:
    """The matrix with columns of the lengths that the gains say; columns of zeros stay."""
    if keras.backend.backend() != "tensorflow":
        directions, factor, _, usable = _directions(matrix)
        return directions * ops.where(usable, gain * factor, 1.0)

    @ops.custom_gradient
    def scale(matrix: Any, gain: Any) -> Any:
        directions, factor, divisor, usable = _directions(matrix)
        multiplier = ops.where(usable, gain * factor, 1.0)

        def gradient(upstream: Any) -> Any:
            units = directions * factor
            inner = ops.sum(upstream * units, axis=-2, keepdims=True)
            inner = ops.where(usable, inner, 0.0)
            return (upstream - inner * units) * (multiplier / divisor), inner

        return directions * multiplier, gradient

    return scale(matrix, gain)


def _directions(matrix: Any) -> tuple[Any, Any, Any, Any]:
    """Columns whose largest entry is 1, 1 over their lengths, their divisors, which are usable.

    The divisor is a constant: the length does not matter, and its square neither overflows nor
    vanishes. It divides, since XLA would move a factor out of the square. Zeros are divided by 1.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(matrix), axis=-2, keepdims=True))
    usable = largest > TINY
    divisor = ops.where(usable, largest, 1.0)
    directions = matrix / divisor
    squared = ops.sum(ops.square(directions), axis=-2, keepdims=True)
    return directions, ops.rsqrt(ops.where(usable, squared, 1.0)), divisor, usable


def _units(linear_map: LinearMap) -> int:
    *blocks, _, outputs = linear_map.matrix_shape
    return outputs * int(np.prod(blocks, dtype=int))


def _lengths_initializer(kernel: Kernel) -> Callable[..., Any]:
    """Keras initializer of gains: ‖v‖, read when the variables are initialized."""

    def initialize(shape: Any, dtype: Any = None) -> Any:
        value = read_master(lambda: kernel_value(kernel))
        array = concrete(value)
        if array is None:
            matrix = kernel.linear_map.matrix(value)
            lengths = ops.sqrt(ops.sum(ops.square(matrix), axis=-2))
        else:
            check_range(array, kernel)
            matrix = np.asarray(kernel.linear_map.matrix(array, np), "float64")
            lengths = np.sqrt(np.sum(np.square(matrix), axis=-2))
        return ops.cast(ops.reshape(lengths, (-1,)), dtype or value.dtype)

    return initialize
