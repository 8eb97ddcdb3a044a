"""Models whose files are in `golden/tensorflow_addons.zip`: those of `golden/make_tfa.py`."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools


def images(wrap):
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            wrap(layers.Conv2D(4, 3, activation="relu", name="first")),
            layers.BatchNormalization(name="statistics"),
            wrap(layers.Conv2D(3, 3, strides=2, use_bias=False, name="second")),
            layers.Flatten(),
            layers.Dropout(0.1),
            wrap(layers.Dense(5, activation="tanh", name="third")),
            layers.Dense(2, name="plain"),
        ]
    )


def nested(wrap):
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            wrap(layers.Conv2D(3, 3, name="first")),
            layers.BatchNormalization(),
            wrap(layers.Conv2D(2, 3, name="second")),
        ],
        name="inner",
    )
    inputs = keras.Input((6, 6, 2))
    outputs = wrap(layers.Dense(2, name="third"))(layers.Flatten()(inner(inputs)))
    return keras.Model(inputs, outputs)


def branches(wrap):
    inputs = keras.Input((6, 6, 2), name="images")
    shared = wrap(layers.Conv2D(2, 3, padding="same", name="shared"))
    left = wrap(layers.Conv2D(4, 3, name="left"))
    right = layers.Conv2D(4, 3, name="right")
    hidden = shared(shared(inputs))
    hidden = layers.Add()([left(hidden), right(inputs)])
    outputs = wrap(layers.Conv2DTranspose(3, 2, name="up"))(hidden)
    return keras.Model(inputs, layers.Flatten()(outputs))


def sequences(wrap):
    return keras.Sequential(
        [keras.Input((5, 3)), wrap(layers.LSTM(4, name="steps")), wrap(layers.Dense(2))]
    )


def ids(wrap):
    return keras.Sequential(
        [keras.Input((5,)), wrap(layers.Embedding(7, 3)), layers.Flatten(), layers.Dense(2)]
    )


needs_tensorflow = pytest.mark.skipif(
    tools.BACKEND != "tensorflow", reason="checkpoints are read by TensorFlow"
)
CHECKPOINT = pytest.param("", marks=needs_tensorflow, id="checkpoint")
SOME = ["_weights.h5", ".keras", CHECKPOINT]
EVERY = [".h5", ".weights.h5", *SOME]


def with_formats(*names):
    """All files of these models."""
    every = {"spectral_images", "weight_data_images"}
    cases = [(name, kind) for name in names for kind in (EVERY if name in every else SOME)]
    return pytest.mark.parametrize(
        "name, kind",
        [
            pytest.param(name, *getattr(kind, "values", [kind]), marks=getattr(kind, "marks", ()))
            for name, kind in cases
        ],
    )


def arrays_of(folder, name):
    return dict(np.load(folder / f"{name}.npz"))


MODELS = {"images": images, "nested": nested, "branches": branches, "ids": ids}
MODELS["sequences"] = sequences


def built(name, wrap):
    return MODELS[name.removesuffix("_untrained").rpartition("_")[2]](wrap)
