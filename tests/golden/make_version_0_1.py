"""Writes the files of `tests/golden/version_0_1/`, which every later version must read.

They were written by version 0.1 with the oldest supported Keras, since no Keras reads what a newer
one wrote: `.venv-lowest/bin/python tests/golden/make_version_0_1.py`. Running it again with a later
version of this package would destroy their purpose.

Each model has three files: `NAME.keras`, `NAME.weights.h5` and `NAME.npz`, which holds inputs, the
raw weights in order (`weight_0`, ...), the outputs of one training call (`training_0`, ...), and the
outputs in evaluation once all vectors have converged (`evaluation_0`, ...).
"""

import pathlib

import keras
import numpy as np
from keras import layers

import tfspecnorm
from tfspecnorm import gan, scales
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)

FOLDER = pathlib.Path(__file__).parent / "version_0_1"
IMAGES = (6, 6, 3)
SEQUENCES = (5, 4)


def branches(wrap, attention=True):
    """One wrapped layer of each kind, each with an output of its own."""
    images, sequences = keras.Input(IMAGES, name="images"), keras.Input(SEQUENCES, name="sequences")
    outputs = [
        wrap(layers.Dense(3, name="dense"))(layers.GlobalAveragePooling2D()(images)),
        wrap(layers.Conv2D(4, 3, name="convolution"))(images),
        wrap(layers.SeparableConv2D(4, 3, name="separable"))(images),
    ]
    if attention:
        outputs.append(wrap(layers.LSTM(3, name="recurrent"))(sequences))
        outputs.append(
            wrap(layers.MultiHeadAttention(2, 3, name="attention"))(sequences, sequences)
        )
    else:
        outputs.append(layers.GlobalAveragePooling1D()(sequences))
    return keras.Model([images, sequences], outputs)


def options():
    """Scales and bounds of a separable layer, gates, other norms."""
    images, sequences = keras.Input(IMAGES, name="images"), keras.Input(SEQUENCES, name="sequences")

    def separable():
        return layers.SeparableConv2D(4, 3)

    outputs = [
        SpectralNorm(separable(), scale=1.5)(images),
        SpectralNorm(separable(), bound=0.5)(images),
        SpectralNorm(separable(), scale=scales.Tanh(2.0))(images),
        SpectralNorm(separable(), scale=scales.Learned())(images),
        SpectralNorm(layers.LSTM(3), per_gate=True)(sequences),
        SpectralNorm(layers.Conv2D(4, 3), norm="operator")(images),
        SpectralNorm(layers.Conv2D(4, 3), norm="gram")(images),
    ]
    return keras.Model([images, sequences], outputs)


def plain():
    inputs = keras.Input(IMAGES, name="images")
    hidden = layers.Conv2D(4, 3, activation="relu", name="stem")(inputs)
    hidden = layers.DepthwiseConv2D(3, name="depthwise")(hidden)
    hidden = layers.Flatten()(hidden)
    return keras.Model(inputs, layers.Dense(2, name="head")(hidden))


def networks():
    generator = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), SpectralNorm(layers.Dense(6))]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((6,)),
            SpectralNorm(layers.Dense(8, activation="relu")),
            SpectralNorm(layers.Dense(1)),
        ]
    )
    return gan.GAN(generator, discriminator, average_momentum=0.9, seed=0)


def data(model, random):
    return [random.standard_normal((8, *part.shape[1:])).astype("float32") for part in model.inputs]


def flat(outputs):
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [keras.ops.convert_to_numpy(part) for part in outputs]


def trained(model):
    """Two steps of gradient descent, so that the vectors are those of a run."""
    random = np.random.default_rng(0)
    inputs = data(model, random)
    targets = [random.standard_normal((8, *part.shape[1:])) for part in model.outputs]
    model.compile(keras.optimizers.SGD(0.3), ["mse"] * len(targets))
    model.fit(
        inputs if len(inputs) > 1 else inputs[0],
        targets if len(targets) > 1 else targets[0],
        epochs=2,
        verbose=0,
    )
    return inputs


def write(name, model, inputs):
    model.save(FOLDER / f"{name}.keras")
    model.save_weights(FOLDER / f"{name}.weights.h5")
    arrays = {f"input_{place}": part for place, part in enumerate(inputs)}
    arrays |= {f"weight_{n}": part for n, part in enumerate(model.get_weights())}
    given = inputs if len(inputs) > 1 else inputs[0]
    arrays |= {f"training_{n}": p for n, p in enumerate(flat(model(given, training=True)))}
    tfspecnorm.warm_up(model)
    arrays |= {f"evaluation_{n}": p for n, p in enumerate(flat(model(given, training=False)))}
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


def main() -> None:
    keras.utils.set_random_seed(0)
    FOLDER.mkdir(exist_ok=True)
    models = {
        "spectral": branches(SpectralNorm),
        "bidirectional": branches(BidirectionalSpectralNorm),
        "mean": branches(MeanSpectralNorm, attention=False),
        "weight": branches(WeightNorm),
        "options": options(),
        "wrapped": tfspecnorm.wrap(plain(), SpectralNorm),
        "renamed": tfspecnorm.wrap(
            plain(), lambda layer: SpectralNorm(layer, name=f"normalized_{layer.name}")
        ),
        "grouped": tfspecnorm.wrap(plain(), SpectralNorm, grouped=True),
    }
    for name, model in models.items():
        write(name, model, trained(model))
    model = networks()
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    random = np.random.default_rng(0)
    model.fit(random.standard_normal((16, 6)).astype("float32"), epochs=2, batch_size=8, verbose=0)
    model.save(FOLDER / "gan.keras")
    model.save_weights(FOLDER / "gan.weights.h5")
    images = random.standard_normal((4, 6)).astype("float32")
    weights = {f"weight_{n}": part for n, part in enumerate(model.get_weights())}
    generated = model.generate(4, seed=0)
    for network in (model.generator, model.discriminator, model.averaged_generator):
        tfspecnorm.warm_up(network)
    np.savez_compressed(
        FOLDER / "gan.npz",
        images=images,
        generated=generated,
        evaluation_generated=model.generate(4, seed=0),
        evaluation_logits=flat(model.discriminator(images))[0],
        **weights,
    )
    print(f"golden files of tfspecnorm {tfspecnorm.__version__}, Keras {keras.version()}")


if __name__ == "__main__":
    main()
