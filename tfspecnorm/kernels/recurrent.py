"""Kernels of Keras' recurrent layers: one from the inputs, one from the state."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
from keras import tree

from tfspecnorm.kernels.convolutions import window_of
from tfspecnorm.kernels.dense import matrix_kernel
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import register, register_holder
from tfspecnorm.norms.linear_map import convolution, window

_Layer = keras.layers.Layer

# In the order in which Keras lays them out along the last axis of a kernel.
_LSTM_GATES = ("input", "forget", "candidate", "output")
_GRU_GATES = ("update", "reset", "candidate")


def _both(layer: Any, gates: tuple[str, ...]) -> list[Kernel]:
    return [
        dataclasses.replace(matrix_kernel(name, getattr(layer, name)), gates=gates)
        for name in ("kernel", "recurrent_kernel")
    ]


@register(keras.layers.SimpleRNNCell)
def _describe_simple_cell(cell: _Layer) -> list[Kernel]:
    return _both(cell, ())


@register(keras.layers.LSTMCell)
def _describe_lstm_cell(cell: _Layer) -> list[Kernel]:
    return _both(cell, _LSTM_GATES)


@register(keras.layers.GRUCell)
def _describe_gru_cell(cell: _Layer) -> list[Kernel]:
    return _both(cell, _GRU_GATES)


@register_holder(keras.layers.RNN)
def _cell_of(layer: Any) -> dict[str, Any]:
    return {"": layer.cell}


@register_holder(keras.layers.StackedRNNCells)
def _cells_of(cell: Any) -> dict[str, Any]:
    return {f"cell{number}": part for number, part in enumerate(cell.cells)}


@register_holder(keras.layers.Bidirectional)
def _directions_of(layer: Any) -> dict[str, Any]:
    return {"forward": layer.forward_layer, "backward": layer.backward_layer}


@register(keras.layers.ConvLSTM1D)
@register(keras.layers.ConvLSTM2D)
@register(keras.layers.ConvLSTM3D)
def _describe_convolutional_lstm(layer: Any) -> list[Kernel]:
    """Convolutions in every time step; the one from the state keeps its size."""
    geometry = window_of(layer.cell)
    recurrent = window(len(geometry.strides), data_format=geometry.data_format)
    return [
        Kernel(name, variable, convolution(tuple(variable.shape), seen), _LSTM_GATES)
        for name, variable, seen in (
            ("kernel", layer.cell.kernel, geometry),
            ("recurrent_kernel", layer.cell.recurrent_kernel, recurrent),
        )
    ]


def states_of(layers: Iterable[_Layer]) -> list[keras.Variable]:
    """The states that recurrent ones among layers keep between batches.

    Keras does not count them among the variables of a layer.
    """
    return [
        state
        for layer in layers
        if isinstance(layer, keras.layers.RNN) and layer.stateful
        for state in tree.flatten(layer.states)
        if isinstance(state, keras.Variable)
    ]
