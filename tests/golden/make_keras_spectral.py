"""Writes `keras_spectral.keras`, `.weights.h5` and `.npz`: a model that Keras itself normalized.

Needs the oldest versions that are supported, `keras==3.7.0` and `tensorflow-cpu==2.18.1`, because
no Keras reads what a newer one wrote: `python tests/golden/make_keras_spectral.py`. Nothing of
this package is used.
"""

import pathlib

import keras
import numpy as np
from keras import layers


def normalized(layer: layers.Layer, **kwargs) -> layers.Layer:
    return layers.SpectralNormalization(layer, name=f"normalized_{layer.name}", **kwargs)


def main() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2), name="images")
    shared = normalized(layers.Conv2D(2, 3, padding="same", name="shared"), power_iterations=2)
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            normalized(layers.Conv2D(4, 3, activation="relu", use_bias=False, name="inside")),
            layers.BatchNormalization(name="statistics"),
        ],
        name="inner",
    )
    hidden = inner(shared(shared(inputs)))
    hidden = normalized(layers.Conv2DTranspose(3, 2, strides=2, name="up"))(hidden)
    steps = layers.Reshape((8, 24))(hidden)
    steps = layers.TimeDistributed(normalized(layers.Dense(3, name="step")), name="steps")(steps)
    outputs = layers.Dense(2, name="plain")(layers.Flatten()(steps))
    model = keras.Model({"images": inputs}, outputs, name="whole")
    random = np.random.default_rng(0)
    images = random.standard_normal((4, 6, 6, 2)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit({"images": images}, random.standard_normal((4, 2)), epochs=3, verbose=0)
    folder = pathlib.Path(__file__).parent
    model.save(folder / "keras_spectral.keras")
    model.save_weights(folder / "keras_spectral.weights.h5")
    outputs = model.predict({"images": images}, verbose=0)
    arrays = {variable.path: variable.numpy() for variable in model.weights}
    path = folder / "keras_spectral.npz"
    np.savez_compressed(path, inputs=images, outputs=outputs, **arrays)
    print(f"{path.name}: {len(arrays)} variables, Keras {keras.version()}")


if __name__ == "__main__":
    main()
