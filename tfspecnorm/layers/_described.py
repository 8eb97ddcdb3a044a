"""The kernels of a built layer, described once."""

import keras

from tfspecnorm.kernels import Kernel, held_by, kernels_of
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.registry import check_described
from tfspecnorm.layers._full_precision import read_master


class Described:
    """What a wrapper keeps of its built layer. No tracker looks into it.

    Args:
        layer: Built layer with known kernels.
        per_gate: Whether each gate of a recurrent kernel is a kernel of its own.
    """

    def __init__(self, layer: keras.layers.Layer, per_gate: bool) -> None:
        self.kernels: list[Kernel] = kernels_of(layer, per_gate)
        check_described(layer, self.kernels)
        for kernel in self.kernels:
            kernel.linear_map.compute_views()
        self.parts = held_by(layer)
        self.recurrent = [part for part in layers_in(layer) if isinstance(part, keras.layers.RNN)]
        self.dtypes = read_master(lambda: [k.variable.dtype for k in self.kernels])
