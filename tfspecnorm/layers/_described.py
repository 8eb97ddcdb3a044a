"""The kernels of a built layer, described once."""

from collections.abc import Sequence

import keras

from tfspecnorm.kernels.composites import kernels_within
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.description import check_described
from tfspecnorm.layers._full_precision import read_master


class Described:
    """What a wrapper keeps of its built layer. No tracker looks into it.

    Args:
        layer: Built layer with known kernels.
        per_gate: Whether each gate of a recurrent kernel is a kernel of its own.
        patterns: Names of kernels or patterns for them, `None` for all.
    """

    def __init__(
        self, layer: keras.layers.Layer, per_gate: bool, patterns: Sequence[str] | None
    ) -> None:
        self.kernels, self.parts, self.left = kernels_within(layer, per_gate, patterns)
        check_described(layer, self.kernels)
        for kernel in self.kernels:
            kernel.linear_map.compute_views()
        self.recurrent = [part for part in layers_in(layer) if isinstance(part, keras.layers.RNN)]
        # Keras counts neither their states nor those of metrics among the variables of a layer.
        self.has_metrics = bool(layer.metrics)
        self.dtypes = read_master(lambda: [k.variable.dtype for k in self.kernels])
