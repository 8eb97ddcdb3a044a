"""The kernels of a built layer, described once."""

import keras
from keras import tree

from tfspecnorm.kernels import Kernel, check_registered, held_by, kernels_of
from tfspecnorm.kernels.holders import layers_in
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
        self._layer = layer
        self._parts = held_by(layer)
        self._recurrent = [part for part in layers_in(layer) if isinstance(part, keras.layers.RNN)]
        self._dtypes = read_master(lambda: [k.variable.dtype for k in self.kernels])

    def arrives_rounded(self) -> bool:
        """Whether values are rounded to half precision here, see Note [Master weights].

        Also a cheap look at what may have happened to the layer since it was built: a `ValueError`
        for one that was quantized or has LoRA enabled.
        """
        for part in self._parts:
            if getattr(part, "lora_enabled", False) or getattr(part, "quantization_mode", None):
                check_registered(self._layer)
        for kernel, dtype in zip(self.kernels, self._dtypes, strict=True):
            if kernel.variable.dtype != dtype:
                return True
        return False

    def variables(self) -> list[keras.Variable]:
        """All variables that the layer reads; the states of a recurrent one are not its own."""
        if not self._recurrent:
            return self._layer.variables
        states = [
            state
            for part in self._recurrent
            if part.stateful
            for state in tree.flatten(part.states)
            if isinstance(state, keras.Variable)
        ]
        return [*self._layer.variables, *states]
