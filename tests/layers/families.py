"""The layer families and the wrappers, and which pairs of them are defined."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)


@dataclasses.dataclass(frozen=True)
class Family:
    """A layer, and how it is called.

    Args:
        make: Function that makes the layer.
        shape: Shape of one input.
        integers: Whether inputs are integers.
        representative: Whether the options of the wrappers are tested with this family, too.
        call: Function that calls the layer on its input.
    """

    make: Callable[[], Any]
    shape: tuple[int, ...]
    integers: bool = False
    representative: bool = False
    call: Callable[[Any, Any], Any] = lambda layer, inputs: layer(inputs)


@keras.saving.register_keras_serializable(package="tests")
class Affine(keras.layers.Layer):
    """A layer of a user's own."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 4), name="matrix")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.matrix)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


@tfspecnorm.kernels.register(Affine)
def _describe_affine(layer):
    shape = tuple(layer.matrix.shape)
    linear_map = tfspecnorm.norms.LinearMap("dense", shape, output_axes=(1,))
    return [tfspecnorm.kernels.Kernel("matrix", layer.matrix, linear_map)]


def _sequential():
    return keras.Sequential(
        [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)]
    )


def _functional():
    inputs = keras.Input((6,))
    hidden = layers.Dense(4, name="first")(inputs)
    return keras.Model(inputs, layers.Add()([hidden, layers.Dense(4, name="second")(hidden)]))


def _to_itself(layer, inputs):
    return layer(inputs, inputs)


def _and_back(layer, inputs):
    return layer(layer(inputs), reverse=True)


def _stacked():
    return layers.RNN(layers.StackedRNNCells([layers.LSTMCell(4), layers.SimpleRNNCell(3)]))


FAMILIES = {
    "dense": Family(lambda: layers.Dense(4, activation="tanh"), (6,), representative=True),
    "dense-sequence": Family(lambda: layers.Dense(4, use_bias=False), (3, 6)),
    "einsum": Family(
        lambda: layers.EinsumDense("abc,cd->abd", (None, 4)), (3, 6), representative=True
    ),
    "einsum-bias": Family(
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (3, 6)
    ),
    "einsum-blocks": Family(lambda: layers.EinsumDense("abc,bcd->abd", (3, 4)), (3, 6)),
    "attention": Family(lambda: layers.MultiHeadAttention(2, 3), (4, 6), call=_to_itself),
    "attention-grouped": Family(
        lambda: layers.GroupQueryAttention(3, 4, 2), (4, 6), call=_to_itself
    ),
    "embedding": Family(lambda: layers.Embedding(9, 4), (5,), integers=True, representative=True),
    "conv1d": Family(lambda: layers.Conv1D(4, 3, padding="causal"), (7, 2)),
    "conv2d": Family(
        lambda: layers.Conv2D(4, 3, activation="relu"), (7, 6, 2), representative=True
    ),
    "conv2d-strided": Family(
        lambda: layers.Conv2D(4, (3, 2), strides=2, padding="same"), (7, 6, 2)
    ),
    "conv2d-dilated": Family(lambda: layers.Conv2D(4, 3, dilation_rate=2), (7, 6, 2)),
    "conv2d-grouped": Family(lambda: layers.Conv2D(4, 3, groups=2), (7, 6, 2)),
    "conv3d": Family(lambda: layers.Conv3D(3, 2), (4, 4, 4, 2)),
    "conv1d-transposed": Family(lambda: layers.Conv1DTranspose(4, 3, strides=2), (5, 2)),
    "conv2d-transposed": Family(
        lambda: layers.Conv2DTranspose(4, 3, strides=2), (5, 4, 2), representative=True
    ),
    "conv3d-transposed": Family(lambda: layers.Conv3DTranspose(3, 2), (3, 3, 3, 2)),
    "depthwise1d": Family(lambda: layers.DepthwiseConv1D(3, use_bias=False), (7, 3)),
    "depthwise2d": Family(
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (7, 6, 3), representative=True
    ),
    "separable1d": Family(lambda: layers.SeparableConv1D(4, 3), (7, 3)),
    "separable2d": Family(lambda: layers.SeparableConv2D(4, 3), (7, 6, 3), representative=True),
    "simple-rnn": Family(lambda: layers.SimpleRNN(4), (5, 3)),
    "lstm": Family(lambda: layers.LSTM(4, return_sequences=True), (5, 3)),
    "gru": Family(lambda: layers.GRU(4), (5, 3)),
    "rnn-of-a-cell": Family(lambda: layers.RNN(layers.GRUCell(4)), (5, 3)),
    "rnn-of-stacked-cells": Family(_stacked, (5, 3)),
    "bidirectional": Family(lambda: layers.Bidirectional(layers.LSTM(3)), (5, 3)),
    "conv-lstm1d": Family(lambda: layers.ConvLSTM1D(2, 3), (3, 6, 2)),
    "conv-lstm2d": Family(lambda: layers.ConvLSTM2D(2, 3, padding="same"), (3, 5, 4, 2)),
    "conv-lstm3d": Family(lambda: layers.ConvLSTM3D(2, 2), (2, 4, 3, 3, 2)),
    "time-distributed": Family(lambda: layers.TimeDistributed(layers.Conv1D(4, 3)), (3, 5, 2)),
    "sequential": Family(_sequential, (5, 5, 2)),
    "functional": Family(_functional, (6,)),
    "own-layer": Family(Affine, (6,)),
}
if hasattr(layers, "ReversibleEmbedding"):
    FAMILIES |= {
        "embedding-reversible": Family(
            lambda: layers.ReversibleEmbedding(9, 4), (5,), integers=True, call=_and_back
        ),
        "embedding-untied": Family(
            lambda: layers.ReversibleEmbedding(9, 4, tie_weights=False),
            (5,),
            integers=True,
            call=_and_back,
        ),
    }

EMBEDDINGS = {name for name in FAMILIES if name.startswith("embedding")}
RECURRENT = {
    name
    for name in FAMILIES
    if name in ("simple-rnn", "lstm", "gru", "bidirectional") or name.startswith(("rnn", "conv-l"))
}
GATED = RECURRENT - {"simple-rnn"}
# Where no single linear map is followed by one bias for each output channel.
WITHOUT_MEAN = {
    *(EMBEDDINGS | RECURRENT),
    *("attention", "attention-grouped", "sequential", "functional", "own-layer"),
}


def mean(layer):
    """Mean spectral normalization of the layer without its activation."""
    if isinstance(layer, (layers.Dense, layers.Conv2D)):
        layer.activation = keras.activations.linear
    return MeanSpectralNorm(layer)


WRAPPERS = {
    "spectral": SpectralNorm,
    "bidirectional": BidirectionalSpectralNorm,
    "mean": mean,
    "weight": WeightNorm,
    "spectral-scaled": lambda layer: SpectralNorm(layer, power_iterations=2, scale=1.6),
    "spectral-bounded": lambda layer: SpectralNorm(layer, bound=0.5),
    "spectral-learned": lambda layer: SpectralNorm(
        layer, scale=tfspecnorm.scales.Learned(), jit_compile=False
    ),
    "bidirectional-scaled": lambda layer: BidirectionalSpectralNorm(layer, scale=1.6),
    "spectral-per-gate": lambda layer: SpectralNorm(layer, per_gate=True),
    "spectral-tracked": lambda layer: SpectralNorm(layer, tracked_vectors=4),
}
UNDEFINED = {"bidirectional": EMBEDDINGS, "mean": WITHOUT_MEAN}

REPRESENTATIVES = [name for name, family in FAMILIES.items() if family.representative]
# One layer for each kind of kernel, and one that runs a loop.
KINDS = [*REPRESENTATIVES, "lstm"]
# A wrapper meets every family; its options meet one of each kind.
_OPTIONS = {
    "spectral-scaled": REPRESENTATIVES,
    "spectral-bounded": REPRESENTATIVES,
    "spectral-learned": KINDS,
    "bidirectional-scaled": ["dense", "conv2d", "conv2d-transposed"],
    "spectral-tracked": [*KINDS, "conv2d-grouped"],
    "spectral-per-gate": ["lstm", "bidirectional", "conv-lstm2d", "rnn-of-stacked-cells"],
}
PAIRS = [
    (wrapper, family)
    for wrapper in WRAPPERS
    for family in _OPTIONS.get(wrapper, FAMILIES)
    if family not in UNDEFINED.get(wrapper, ())
]


def quick_pairs(turn, families=tuple(FAMILIES)):
    """A covering subset of `PAIRS`: each of the families once, and each wrapper at least once.

    The wrapper that a family meets is another one at every turn, so that a few turns together meet
    every pair.
    """
    chosen = set()
    for position, family in enumerate(FAMILIES):
        defined = [wrapper for wrapper, name in PAIRS if name == family]
        if family in families:
            chosen.add((defined[(position + turn) % len(defined)], family))
    for wrapper in WRAPPERS.keys() - {wrapper for wrapper, _ in chosen}:
        defined = [family for name, family in PAIRS if name == wrapper]
        chosen.add((wrapper, defined[turn % len(defined)]))
    return chosen


def model_of(wrapper, family):
    """A model of one wrapped layer, and the wrapper."""
    row = FAMILIES[family]
    layer = WRAPPERS[wrapper](row.make())
    inputs = keras.Input(row.shape, dtype="int32" if row.integers else None)
    return keras.Model(inputs, row.call(layer, inputs)), layer


def data(family, batch=3, seed=0):
    """A batch for the family's layer."""
    row = FAMILIES[family]
    if row.integers:
        return np.random.default_rng(seed).integers(0, 9, (batch, *row.shape)).astype("int32")
    return tools.random(batch, *row.shape, seed=seed)
