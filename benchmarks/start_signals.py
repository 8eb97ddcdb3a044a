"""Norms of activations and of gradients in networks that start weight-normalized, on TensorFlow.

For the gains of `tfspecnorm.initializers.robust` and for gains of 1 on the same orthogonal
directions, on Gaussian inputs (Arpit, Campos, Bengio, 2019, arXiv:1906.02341).
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from tfspecnorm import initializers
from tfspecnorm.layers import WeightNorm

STARTS = ("robust", "gain 1")
NETWORKS = ("feed-forward", "residual")


@dataclasses.dataclass(frozen=True)
class Signals:
    """Sizes of the networks in which signals are measured; widths lie within 50 of `width`."""

    width: int = 1000
    inputs: int = 500
    layers: int = 20
    blocks: int = 40
    samples: int = 1000
    spread: int = 50


SMOKE_SIGNALS = Signals(width=60, inputs=40, layers=4, blocks=4, samples=20, spread=5)


def feed_forward(sizes: Signals, random: np.random.Generator) -> keras.Model:
    """Dense layers with ReLU; the outputs are those of every layer."""
    widths = random.integers(sizes.width - sizes.spread, sizes.width + sizes.spread, sizes.layers)
    hidden = inputs = keras.Input((sizes.inputs,))
    outputs = []
    for width in widths:
        hidden = WeightNorm(keras.layers.Dense(int(width), activation="relu"))(hidden)
        outputs.append(hidden)
    return keras.Model(inputs, outputs)


def residual(
    sizes: Signals, random: np.random.Generator
) -> tuple[keras.Model, list[list[initializers.ResidualBlock]]]:
    """One stage of blocks h + dense(ReLU(dense(h))) and its description; every block's output."""
    widths = random.integers(sizes.width - sizes.spread, sizes.width + sizes.spread, sizes.blocks)
    hidden = inputs = keras.Input((sizes.inputs,))
    outputs, stage = [], []
    for number, width in enumerate(widths):
        first = WeightNorm(keras.layers.Dense(int(width), activation="relu"))
        last = WeightNorm(keras.layers.Dense(sizes.inputs, name=f"last_{number}"))
        hidden = keras.layers.Add()([hidden, last(first(hidden))])
        outputs.append(hidden)
        stage.append(initializers.ResidualBlock(last=last.layer.name))
    return keras.Model(inputs, outputs), [stage]


def signals(network: str, sizes: Signals, seed: int) -> dict[str, dict[str, list[float]]]:
    """For each start the ratios of `signal_ratios`, in one network with the same directions."""
    keras.utils.clear_session()
    random = np.random.default_rng(seed)
    if network == "residual":
        model, stages = residual(sizes, random)
    else:
        model, stages = feed_forward(sizes, random), []
    inputs = random.standard_normal((sizes.samples, sizes.inputs)).astype("float32")
    # On busy cores the threads of a decomposition wait for each other ten times as long.
    with threadpool_limits(1, user_api="blas"):
        initializers.robust(model, stages=stages, seed=seed)
    found = {"robust": signal_ratios(model, inputs, random)}
    for layer in model.layers:
        if isinstance(layer, WeightNorm):
            gain = layer.gains()["kernel"]
            gain.assign(np.ones(gain.shape))
    found["gain 1"] = signal_ratios(model, inputs, random)
    return found


def signal_ratios(
    model: keras.Model, inputs: np.ndarray, random: np.random.Generator
) -> dict[str, list[float]]:
    """Means over the samples of ‖hˡ‖/‖x‖ and ‖∂hˡ‖/‖∂hᴸ‖, for a Gaussian gradient at the top."""
    import tensorflow as tf

    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        states = model(inputs)
    top = tf.constant(random.standard_normal(states[-1].shape).astype("float32"))
    gradients = tape.gradient(states[-1], states, output_gradients=top)
    return {
        "forward": _mean_ratios(states, inputs),
        "backward": _mean_ratios(gradients, top),
    }


def _mean_ratios(tensors: Iterable[Any], reference: Any) -> list[float]:
    lengths = np.linalg.norm(reference, axis=-1)
    return [float(np.mean(np.linalg.norm(tensor, axis=-1) / lengths)) for tensor in tensors]


def mean_signals(network: str, sizes: Signals, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Means of `signals` over seeds 0, 1, ..."""
    runs = [signals(network, sizes, seed) for seed in range(seeds)]
    return {
        start: {
            way: np.mean([run[start][way] for run in runs], axis=0).tolist()
            for way in ("forward", "backward")
        }
        for start in STARTS
    }
