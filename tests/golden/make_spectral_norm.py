"""Writes `spectral_norm.keras` and the outputs that it must give for as long as it loads.

Run only to add a new golden file: `python tests/golden/make_spectral_norm.py`.
"""

import pathlib

import keras
import numpy as np
from keras import layers

import tfspecnorm
from tfspecnorm import __version__, scales
from tfspecnorm.layers import SpectralNorm


def main() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            SpectralNorm(layers.Conv2D(4, 3, groups=2, activation="relu"), power_iterations=2),
            SpectralNorm(layers.Conv2DTranspose(3, 3), scale=scales.Learned()),
            SpectralNorm(layers.SeparableConv2D(4, 3), bound=0.5, scale=scales.Tanh(2.0)),
            layers.Flatten(),
            SpectralNorm(layers.Dense(2), scale=1.5),
        ]
    )
    random = np.random.default_rng(0)
    inputs = random.standard_normal((8, 8, 8, 2)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, random.standard_normal((8, 2)), epochs=3, verbose=0)
    folder = pathlib.Path(__file__).parent
    model.save(folder / "spectral_norm.keras")
    outputs = model.predict(inputs, verbose=0)
    tfspecnorm.warm_up(model)
    converged = model.predict(inputs, verbose=0)
    path = folder / "spectral_norm.npz"
    np.savez_compressed(path, inputs=inputs, outputs=outputs, converged=converged)
    print(f"golden files of tfspecnorm {__version__}, Keras {keras.version()}")


if __name__ == "__main__":
    main()
