"""Writes `normalizations.keras` and the outputs that it must give for as long as it loads.

Run only to add a new golden file, with the oldest Keras that is supported, since no Keras reads
what a newer one wrote: `.venv-lowest/bin/python tests/golden/make_normalizations.py`.
"""

import pathlib

import keras
import numpy as np
from keras import layers

import tfspecnorm
from tfspecnorm import __version__, scales
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)


def main() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            MeanSpectralNorm(layers.Conv2D(4, 3, use_bias=False), momentum=0.8),
            layers.ReLU(),
            BidirectionalSpectralNorm(layers.Conv2D(4, 3, groups=2), scale=1.2),
            SpectralNorm(layers.DepthwiseConv2D(3, padding="same"), scale=scales.Tanh(2.0)),
            WeightNorm(layers.SeparableConv2D(3, 2, activation="relu")),
            layers.Reshape((9, 3)),
            SpectralNorm(layers.Bidirectional(layers.LSTM(2)), per_gate=True),
            MeanSpectralNorm(layers.Dense(3)),
            WeightNorm(layers.Dense(2)),
        ]
    )
    random = np.random.default_rng(0)
    inputs = random.standard_normal((8, 8, 8, 2)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, random.standard_normal((8, 2)), epochs=3, verbose=0)
    folder = pathlib.Path(__file__).parent
    model.save(folder / "normalizations.keras")
    outputs = model.predict(inputs, verbose=0)
    tfspecnorm.warm_up(model)
    converged = model.predict(inputs, verbose=0)
    path = folder / "normalizations.npz"
    np.savez_compressed(path, inputs=inputs, outputs=outputs, converged=converged)
    print(f"golden files of tfspecnorm {__version__}, Keras {keras.version()}")


if __name__ == "__main__":
    main()
