"""Writes `tensorflow_addons.zip`: files of models that tensorflow-addons normalized.

Needs Python 3.11 with `tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0 "numpy<2"`, the last
versions that work together: `python tests/golden/make_tfa.py`. Nothing of this package is used.

Every model is trained for a few steps and saved, then saved in some of these formats:

    NAME.h5                  whole model
    NAME_weights.h5          weights alone
    NAME.weights.h5          weights alone, in the format of `.keras`
    NAME.keras               whole model
    NAME.index, NAME.data-*  checkpoint of TensorFlow
    NAME.npz                 inputs, outputs in evaluation, and every variable by its name
"""

import pathlib
import tempfile
import zipfile

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

layers = tf.keras.layers


def images(wrap) -> tf.keras.Model:
    """Convolutions, a plain layer with statistics, a dense layer."""
    return tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 2)),
            wrap(layers.Conv2D(4, 3, activation="relu")),
            layers.BatchNormalization(),
            wrap(layers.Conv2D(3, 3, strides=2, use_bias=False)),
            layers.Flatten(),
            layers.Dropout(0.1),
            wrap(layers.Dense(5, activation="tanh")),
            layers.Dense(2, name="plain"),
        ]
    )


def branches(wrap) -> tf.keras.Model:
    """Functional: a layer called twice, two branches, a transposed convolution at the end."""
    inputs = tf.keras.Input((6, 6, 2), name="images")
    shared = wrap(layers.Conv2D(2, 3, padding="same", name="shared"))
    left = wrap(layers.Conv2D(4, 3, name="left"))
    right = layers.Conv2D(4, 3, name="right")
    hidden = shared(shared(inputs))
    hidden = layers.Add()([left(hidden), right(inputs)])
    outputs = wrap(layers.Conv2DTranspose(3, 2, name="up"))(hidden)
    return tf.keras.Model(inputs, layers.Flatten()(outputs))


def nested(wrap) -> tf.keras.Model:
    """A model in a model."""
    inner = tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 2)),
            wrap(layers.Conv2D(3, 3, name="first")),
            layers.BatchNormalization(),
            wrap(layers.Conv2D(2, 3, name="second")),
        ],
        name="inner",
    )
    inputs = tf.keras.Input((6, 6, 2))
    return tf.keras.Model(inputs, wrap(layers.Dense(2))(layers.Flatten()(inner(inputs))))


def sequences(wrap) -> tf.keras.Model:
    """A recurrent layer, of which weight normalization takes the recurrent kernel."""
    return tf.keras.Sequential(
        [tf.keras.Input((5, 3)), wrap(layers.LSTM(4)), wrap(layers.Dense(2))]
    )


def ids(wrap) -> tf.keras.Model:
    """An embedding."""
    return tf.keras.Sequential(
        [tf.keras.Input((5,)), wrap(layers.Embedding(7, 3)), layers.Flatten(), layers.Dense(2)]
    )


def spectral(layer):
    return tfa.layers.SpectralNormalization(layer)


def weight(layer):
    return tfa.layers.WeightNormalization(layer, data_init=False)


def weight_data(layer):
    return tfa.layers.WeightNormalization(layer)


def make(
    folder: pathlib.Path,
    name: str,
    model: tf.keras.Model,
    formats: tuple[str, ...],
    train: bool = True,
) -> None:
    random = np.random.default_rng(0)
    shape = (4, *model.input_shape[1:])
    inputs = random.standard_normal(shape)
    if "ids" in name:
        inputs = random.integers(0, 7, shape)
    arrays = {"inputs": inputs.astype("float32")}
    if train:
        targets = random.standard_normal((4, *model.output_shape[1:]))
        model.compile(tf.keras.optimizers.SGD(0.1), "mse")
        model.fit(arrays["inputs"], targets, epochs=4, verbose=0)
        arrays["outputs"] = model.predict(arrays["inputs"], verbose=0)
    for kind in formats:
        path = str(folder / f"{name}{kind}")
        if kind in (".h5", ".keras"):
            model.save(path)
        else:
            model.save_weights(path)
    arrays |= {variable.name: variable.numpy() for variable in model.weights}
    np.savez_compressed(folder / f"{name}.npz", **arrays)


EVERY = (".h5", "_weights.h5", ".weights.h5", ".keras", "")
SOME = ("_weights.h5", ".keras", "")
MODELS = [
    (spectral, images, EVERY, True),
    (weight_data, images, EVERY, True),
    (weight, images, SOME, True),
    *[(wrap, nested, SOME, True) for wrap in (spectral, weight, weight_data)],
    (spectral, branches, SOME, True),
    (weight, branches, ("_weights.h5",), True),
    (spectral, ids, SOME, True),
    (weight, sequences, SOME, True),
    (weight, images, SOME, False),
    (weight_data, images, SOME, False),
]


def main() -> None:
    path = pathlib.Path(__file__).with_name("tensorflow_addons.zip")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for wrap, build, formats, train in MODELS:
            tf.keras.utils.set_random_seed(0)
            tf.keras.backend.clear_session()
            name = f"{wrap.__name__}_{build.__name__}{'' if train else '_untrained'}"
            make(folder, name, build(wrap), formats, train)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(folder.iterdir()):
                if file.name != "checkpoint":  # Names a folder of this machine.
                    archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), 8, 9)
    print(f"{path.name}: tensorflow-addons {tfa.__version__}, TensorFlow {tf.version.VERSION}")


if __name__ == "__main__":
    main()
