"""What `where` narrows, and arguments of wrong types in all functions over models."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import analysis, callbacks, migration, surgery
from tfspecnorm.layers import SpectralNorm


def types(model):
    return [type(layer).__name__ for layer in model.layers]


def chain(*parts, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *parts])


def not_the_head(layer):
    return layer.name != "head"


class Matrix(layers.Layer):
    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], input_shape[-1]), name="matrix")

    def call(self, inputs):
        return inputs @ self.matrix


@keras.saving.register_keras_serializable(package="tests")
class UnknownCell(layers.Layer):
    state_size = 3

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 3), name="matrix")

    def call(self, inputs, states):
        state = keras.ops.matmul(inputs, self.matrix) + states[0]
        return state, [state]


def test_where_narrows_the_choice():
    model = chain(
        layers.Reshape((2, 2, 1)),
        layers.Conv2D(3, 1, name="body"),
        layers.PReLU(),
        layers.LayerNormalization(axis=(1, 2)),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(2, name="head"),
    )
    assert types(tfspecnorm.wrap(model, SpectralNorm, where=not_the_head)) == [
        "Reshape", "SpectralNorm", "PReLU", "LayerNormalization", "ReLU", "Flatten", "Dense",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "part", [lambda: Matrix(name="own"), lambda: layers.RNN(UnknownCell(name="own"))]
)
def test_an_unknown_matrix_that_where_accepts_is_named(part):
    recurrent = isinstance(part(), layers.RNN)
    shape = (5, 4) if recurrent else (4,)
    model = chain(part(), layers.Dense(2, name="head"), shape=shape)
    with pytest.raises(ValueError, match=r"known kernels.*Received: layer=.*named 'own'"):
        tfspecnorm.wrap(model, SpectralNorm, where=not_the_head)


def test_the_refusal_of_a_holder_names_the_layer_inside():
    for layer in (
        layers.RNN(UnknownCell(name="own"), name="outer"),
        layers.Bidirectional(layers.RNN(UnknownCell(name="own")), name="outer"),
        layers.RNN([UnknownCell(name="own")], name="outer"),
    ):
        message = r"Received: layer=\w+ named 'outer', which holds UnknownCell named '.*own'"
        with pytest.raises(ValueError, match=message):
            SpectralNorm(layer).build((None, 5, 4))


def model():
    return chain(layers.Dense(2, name="dense"))


def arrays(count=2):
    return np.zeros((count, 4), "float32")


BAD = {
    "where, a name": ("where", lambda: tfspecnorm.wrap(model(), SpectralNorm, where="head")),
    "where, a class": ("where", lambda: tfspecnorm.wrap(model(), SpectralNorm, where=layers.Dense)),
    "where, a layer": (
        "where",
        lambda: tfspecnorm.wrap(model(), SpectralNorm, where=layers.Dense(2)),
    ),
    "wrapper, a plain class": ("wrapper", lambda: tfspecnorm.wrap(model(), layers.Dense)),
    "wrapper, a layer": (
        "wrapper",
        lambda: tfspecnorm.wrap(model(), SpectralNorm(layers.Dense(2))),
    ),
    "wrapper, a rule": ("wrapper", lambda: tfspecnorm.wrap(model(), {layers.Dense: layers.Dense})),
    "wrapper, None": ("wrapper", lambda: tfspecnorm.wrap(model(), None)),
    "remove_batch_normalization": (
        "remove_batch_normalization",
        lambda: tfspecnorm.wrap(model(), SpectralNorm, remove_batch_normalization="no"),
    ),
    "grouped": ("grouped", lambda: tfspecnorm.wrap(model(), SpectralNorm, grouped="no")),
    "fold": ("model", lambda: tfspecnorm.fold(None)),
    "report": ("report", lambda: tfspecnorm.fold(model(), report="no")),
    "batch_norm": ("batch_norm", lambda: tfspecnorm.fold(model(), batch_norm=1)),
    "group": ("model", lambda: tfspecnorm.group(None)),
    "warm_up": ("model", lambda: tfspecnorm.warm_up(None)),
    "in_float32": ("model", lambda: surgery.in_float32(None)),
    "spectral_report": ("model", lambda: tfspecnorm.spectral_report(None)),
    "input_shape, text": ("input_shape", lambda: tfspecnorm.spectral_report(model(), "x")),
    "input_shape, a half": (
        "input_shape",
        lambda: tfspecnorm.lipschitz_bound(chain(layers.Dense(2), shape=(None, 4)), (1.5, 4)),
    ),
    "progress": ("progress", lambda: tfspecnorm.spectral_report(model(), progress="no")),
    "lipschitz_bound": ("model", lambda: tfspecnorm.lipschitz_bound(None)),
    "covers": ("input_shapes", lambda: tfspecnorm.lipschitz_bound(model()).covers(4)),
    "radius, model": ("model", lambda: tfspecnorm.certified_radius(None, arrays(), [0, 1])),
    "radius, inputs": ("inputs", lambda: tfspecnorm.certified_radius(model(), None, [0, 1])),
    "radius, no inputs": (
        "inputs",
        lambda: tfspecnorm.certified_radius(model(), arrays(0), np.zeros(0, int)),
    ),
    "radius, labels": ("labels", lambda: tfspecnorm.certified_radius(model(), arrays(), None)),
    "radius, bound": ("bound", lambda: tfspecnorm.certified_radius(model(), arrays(), [0, 1], 1.0)),
    "batch_size": (
        "batch_size",
        lambda: tfspecnorm.certified_radius(model(), arrays(), [0, 1], batch_size="x"),
    ),
    "layer_class": ("layer_class", lambda: analysis.register_constant("x")),
    "rule": ("rule", lambda: analysis.register_constant(Matrix, "x")),
    "constant_of, layer": ("layer", lambda: analysis.constant_of("x", (None, 4))),
    "constant_of, shape": ("input_shape", lambda: analysis.constant_of(layers.ReLU(), None)),
    "plot": ("path", lambda: tfspecnorm.spectral_report(model()).plot(None)),
    "export": ("path", lambda: tfspecnorm.export(model(), None)),
    "write_png": ("path", lambda: callbacks.write_png(None, np.zeros((2, 2, 1), "uint8"))),
    "ImageGrid": ("path", lambda: callbacks.ImageGrid(None)),
    "image_grid": ("images", lambda: callbacks.image_grid(None, 1)),
    "metrics": ("metrics", lambda: callbacks.SampleMetrics(3, np.zeros((2, 1, 1, 1)))),
    "csv": ("csv", lambda: callbacks.SpectralMonitor(csv=3)),
    "from_keras": ("model", lambda: migration.from_keras(None)),
    "from_keras, wrapper": (
        "wrapper",
        lambda: migration.from_keras(
            chain(layers.SpectralNormalization(layers.Dense(2))), layers.Dense
        ),
    ),
    "from addons, model": ("model", lambda: migration.load_tensorflow_addons(None, "x")),
    "from addons, path": ("path", lambda: migration.load_tensorflow_addons(model(), None)),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_types_are_refused_by_name(case):
    argument, call = BAD[case]
    if case == "plot":
        pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=rf"^Argument `{argument}` must .*Received: "):
        call()


def test_wrapping_and_folding_still_work_with_what_is_right():
    wrapped = tfspecnorm.wrap(model(), lambda layer: SpectralNorm(layer), where=not_the_head)
    inputs = tools.random(3, 4)
    plain = tfspecnorm.fold(wrapped)
    np.testing.assert_allclose(tools.array(plain(inputs)), tools.array(wrapped(inputs)), atol=1e-6)
