"""Files, configurations and copies."""

import copy
import io
import pathlib
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.layers.families import FAMILIES, WRAPPERS
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.norms import Matrix

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def trained_model():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            SpectralNorm(layers.Conv2D(4, 3, activation="relu"), power_iterations=2),
            SpectralNorm(layers.Conv2DTranspose(3, 3), scale=scales.Learned(), name="up"),
            layers.Flatten(),
            SpectralNorm(layers.Dense(5), bound=0.5, scale=scales.Tanh(2.0)),
            SpectralNorm(layers.Dense(2), norm="matrix", scale=1.5, jit_compile=False),
        ]
    )
    tools.fit_steps(model, tools.random(8, 8, 8, 3), tools.random(8, 2), epochs=2)
    return model


def test_saved_and_loaded(tmp_path):
    model = trained_model()
    inputs = tools.random(4, 8, 8, 3, seed=3)
    expected = model.predict(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    for old, new in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(tools.array(old), tools.array(new))
    tools.fit_steps(loaded, tools.random(8, 8, 8, 3), tools.random(8, 2), epochs=1)


def test_each_array_is_in_the_file_once(tmp_path):
    import h5py

    model = trained_model()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        stored = io.BytesIO(archive.read("model.weights.h5"))
    sizes = []
    with h5py.File(stored) as file:
        file["layers"].visititems(
            lambda name, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None
        )
    assert sorted(sizes) == sorted(int(np.prod(v.shape)) for v in model.weights)


def test_weights_alone(tmp_path):
    model = trained_model()
    fresh = keras.models.clone_model(model)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh.load_weights(tmp_path / "model.weights.h5")
    inputs = tools.random(4, 8, 8, 3, seed=3)
    np.testing.assert_array_equal(
        fresh.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, keras.models.clone_model])
def test_copies(duplicate):
    model = trained_model()
    twin = duplicate(model)
    twin.set_weights(model.get_weights())
    inputs = tools.random(4, 8, 8, 3, seed=3)
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_array_equal(twin.predict(inputs, verbose=0), expected)
    twin.layers[0].layer.kernel.assign(np.zeros((3, 3, 3, 4)))
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), expected)


def test_deepcopy_of_a_layer_keeps_its_weights():
    layer = SpectralNorm(layers.Dense(4), scale=scales.Learned())
    inputs = tools.random(2, 6)
    for _ in range(2):
        layer(inputs, training=True)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(tools.array(twin(inputs)), tools.array(layer(inputs)))
    assert twin.layer.kernel is not layer.layer.kernel


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"power_iterations": 3, "bound": 2.0, "jit_compile": True},
        {"scale": 0.7, "norm": "matrix"},
        {"scale": scales.Learned(2.0), "norm": {"kernel": Matrix()}},
        {"scale": scales.Tanh(5.0, 0.5), "dtype": "mixed_bfloat16", "trainable": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("built", [True, False])
def test_config_round_trip(options, built):
    layer = SpectralNorm(layers.Dense(4, name="inner"), name="outer", **options)
    if built:
        layer.build((None, 3))
    config = layer.get_config()
    twin = SpectralNorm.from_config(copy.deepcopy(config))
    assert (twin.name, twin.layer.name) == ("outer", "inner")
    for name in ("power_iterations", "scale", "bound", "jit_compile", "trainable"):
        assert getattr(twin, name) == getattr(layer, name)
    assert twin.dtype_policy.name == layer.dtype_policy.name
    assert twin.get_config()["norm"] == config["norm"]


@pytest.mark.parametrize("wrapper", ["spectral", "bidirectional", "mean", "weight"])
@pytest.mark.parametrize("family", ["dense", "separable2d", "time-distributed"])
def test_unbuilt_wrapper_of_a_built_layer_comes_back_unbuilt(wrapper, family):
    inner = FAMILIES[family].make()
    inner.build((None, *FAMILIES[family].shape))
    layer = WRAPPERS[wrapper](inner)
    config = layer.get_config()
    twins = [
        type(layer).from_config(copy.deepcopy(config)),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
    ]
    for twin in twins:
        assert not twin.built
        assert twin.get_config() == config


def test_variables_of_a_loaded_layer_have_the_paths_of_the_saved_ones(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, SpectralNorm(layers.Dense(4, name="in"), name="out")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    paths = ["out/in/kernel", "out/in/bias", "out/vector_u", "out/vector_v"]
    for each in (model, keras.models.clone_model(model), loaded):
        assert sorted(v.path for v in each.weights) == sorted(paths)


def test_a_built_layer_states_its_norms():
    """A later change of the default for a kind of kernel must not change old files."""
    layer = SpectralNorm(layers.SeparableConv2D(4, 3))
    assert layer.get_config()["norm"] is None
    layer.build((None, 8, 8, 3))
    norm = layer.get_config()["norm"]
    assert {name: part["class_name"] for name, part in norm.items()} == {
        "depthwise_kernel": "Fourier",
        "pointwise_kernel": "Matrix",
    }


# The first of them was written by Keras 3.15, which older ones cannot read.
@pytest.mark.parametrize(
    "name",
    [pytest.param("spectral_norm", marks=pytest.mark.newest_keras), "normalizations"],
)
def test_golden_file_still_loads(name):
    model = keras.saving.load_model(GOLDEN / f"{name}.keras")
    stored = np.load(GOLDEN / f"{name}.npz")
    # What version 0.1 computed after `warm_up`: its evaluation used the vectors as they were.
    np.testing.assert_allclose(
        model.predict(stored["inputs"], verbose=0), stored["converged"], atol=1e-5
    )


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="SavedModel is TensorFlow's format")
@pytest.mark.parametrize("jit_compile", [True, False])
def test_saved_model_export(tmp_path, jit_compile):
    import tensorflow as tf

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            SpectralNorm(layers.Conv2D(4, 3), jit_compile=jit_compile),
            layers.Flatten(),
            SpectralNorm(layers.Dense(2), jit_compile=jit_compile),
        ]
    )
    tools.fit_steps(model, tools.random(8, 8, 8, 3), tools.random(8, 2), epochs=2)
    inputs = tools.random(4, 8, 8, 3, seed=3)
    model.export(str(tmp_path / "saved"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        served.serve(inputs).numpy(), model.predict(inputs, verbose=0), atol=1e-5
    )
