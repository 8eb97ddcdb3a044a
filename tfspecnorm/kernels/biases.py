"""Where a layer adds its bias: the output channels of the layers that have one map and a bias."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras

from tfspecnorm._backend.operations import ops

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
_TAKE_BIAS = (keras.layers.Dense, keras.layers.EinsumDense, *_CONVOLUTIONS)


@dataclasses.dataclass(frozen=True)
class Bias:
    """The bias of a built layer, there or to be added.

    Args:
        variable: The `keras.Variable`, or `None` if the layer has no bias.
        shape: Shape of the variable.
        broadcast_shape: The same entries in a shape that broadcasts against the outputs, aligned
            at the last axis.
    """

    variable: keras.Variable | None
    shape: tuple[int, ...]
    broadcast_shape: tuple[int, ...]

    def reduced_axes(self, rank: int) -> tuple[int, ...]:
        """Axes of outputs of a rank over which one entry of the bias is added."""
        offset = rank - len(self.broadcast_shape)
        return tuple(
            axis
            for axis in range(rank)
            if axis < offset or self.broadcast_shape[axis - offset] == 1
        )


def takes_bias(layer: Any) -> bool:
    """Whether a layer adds, or could add, one bias to each output channel of one linear map."""
    return isinstance(_plain(layer), _TAKE_BIAS)


def computes_as_keras(layer: Any) -> bool:
    """Whether a layer for which `takes_bias` holds has the `call` of a class of Keras."""
    return any(type(_plain(layer)).call is known.call for known in _TAKE_BIAS)


def names_of_layers_with_bias() -> list[str]:
    """Sorted names of the layer classes for which `takes_bias` holds."""
    return sorted(layer_class.__name__ for layer_class in _TAKE_BIAS)


def activation_of(layer: Any) -> Any:
    """The activation that the layer applies after its bias, `None` if it is linear."""
    activation = getattr(_plain(layer), "activation", None)
    return None if activation is keras.activations.linear else activation


def activity_regularizer_of(layer: Any) -> Any:
    """The regularizer of the layer's outputs, or of those of the layer that it repeats."""
    return layer.activity_regularizer or _plain(layer).activity_regularizer


def mask_of_outputs(layer: Any, mask: Any, rank: int) -> Any:
    """A mask of inputs in a shape that broadcasts against outputs of a rank.

    `None` without a mask, and where the steps of the outputs are not those of the inputs.
    """
    if mask is None or len(mask.shape) >= rank:
        return None
    axes = list(range(len(mask.shape)))
    if not isinstance(layer, keras.layers.TimeDistributed):
        if isinstance(layer, keras.layers.EinsumDense):
            steps = layer.equation.replace(" ", "").split("->")
            if steps[0][: len(axes)] != steps[1][: len(axes)]:
                return None
        elif isinstance(layer, _CONVOLUTIONS):
            keeps = layer.padding in ("same", "causal") and layer.strides in (1, (1,))
            if layer.rank != 1 or len(axes) != 2 or not keeps:
                return None
            if layer.data_format == "channels_first":
                axes = [0, 2]
    sizes = iter([size if size is not None else -1 for size in mask.shape])
    return ops.reshape(mask, [next(sizes) if axis in axes else 1 for axis in range(rank)])


@contextlib.contextmanager
def without_activation(layer: Any) -> Iterator[None]:
    """Lets a layer compute what is in front of its activation."""
    layer = _plain(layer)
    activation = layer.activation
    layer.activation = keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation


def bias_of(layer: Any) -> Bias:
    """The `Bias` of a built layer for which `takes_bias` holds."""
    layer = _plain(layer)
    if isinstance(layer, keras.layers.EinsumDense):
        shape = _einsum_bias_shape(layer)
        return Bias(layer.bias, shape, shape)
    variable = layer.bias if layer.use_bias else None
    shape = (_channels(layer),)
    first = getattr(layer, "data_format", None) == "channels_first"
    return Bias(variable, shape, (*shape, *(1,) * layer.rank) if first else shape)


def config_with_bias(layer: Any) -> dict[str, Any]:
    """The configuration of a layer that differs from this one in having a bias."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.TimeDistributed):
        inner = {**config["layer"], "config": config_with_bias(layer.layer)}
        return {**config, "layer": inner}
    if isinstance(layer, keras.layers.EinsumDense):
        return {**config, "bias_axes": _bias_axes(layer)}
    return {**config, "use_bias": True}


def _plain(layer: Any) -> Any:
    return _plain(layer.layer) if isinstance(layer, keras.layers.TimeDistributed) else layer


def _channels(layer: Any) -> int:
    if isinstance(layer, keras.layers.Dense):
        return layer.units
    if isinstance(layer, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)):
        return math.prod(layer.kernel.shape[-2:])
    return layer.filters


def _labels(layer: Any) -> tuple[str, str]:
    """Labels of the kernel and of the output; an ellipsis stays in the output."""
    operands, output = layer.equation.replace(" ", "").split("->")
    return operands.split(",")[1], output


def _bias_axes(layer: Any) -> str:
    """The layer's own choice, or every axis of the output that comes from the kernel."""
    kernel, output = _labels(layer)
    return layer.bias_axes or "".join(label for label in output if label in kernel)


def _einsum_bias_shape(layer: Any) -> tuple[int, ...]:
    if layer.bias is not None:
        return tuple(layer.bias.shape)
    kernel, output = _labels(layer)
    axes = _bias_axes(layer)
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    start = min(output.index(label) for label in axes)
    if "..." in output[start:]:
        raise ValueError(
            "Argument `layer` must have an `equation` whose ellipsis comes first in the output, "
            "so that a bias can be added. Received: layer=EinsumDense named "
            f"'{layer.name}' with equation={layer.equation!r}"
        )
    return tuple(int(sizes[label]) if label in axes else 1 for label in output[start:])
