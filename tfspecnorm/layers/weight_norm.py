"""Weight normalization."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._closed_form import scale_columns
from tfspecnorm.layers._full_precision import read_kernel, read_master, state_dtype
from tfspecnorm.layers._initial_state import check_range, concrete
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.norms import LinearMap


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
        self._gains[kernel.name] = self.add_state(
            kernel,
            "gain",
            _lengths_initializer(kernel),
            shape=(_units(kernel.linear_map),),
            axes=(_unit_axes(kernel.linear_map),),
            dtype=state_dtype(kernel.variable.dtype),
        )

    def effective(self, kernel: Kernel, value: Any, training: bool) -> Any:
        *blocks, _, outputs = kernel.linear_map.matrix_shape
        gain = ops.reshape(self._gains[kernel.name].value, (*blocks, 1, outputs))
        matrix = scale_columns(kernel.linear_map.matrix(value), gain)
        return kernel.linear_map.kernel(matrix)

    def gains(self) -> dict[str, keras.Variable]:
        """The gain variable of each kernel, by the kernel's name.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self._check_built("gains")
        return dict(self._gains)


def _units(linear_map: LinearMap) -> int:
    *blocks, _, outputs = linear_map.matrix_shape
    return outputs * int(np.prod(blocks, dtype=int))


def _unit_axes(linear_map: LinearMap) -> tuple[int, ...]:
    *blocks, _, outputs = linear_map.matrix_axes
    return (*(axis for block in blocks for axis in block), *outputs)


def _lengths_initializer(kernel: Kernel) -> Callable[..., Any]:
    """Keras initializer of gains: ‖v‖, read when the variables are initialized."""

    def initialize(shape: Any, dtype: Any = None) -> Any:
        value = read_master(lambda: read_kernel(kernel))
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
