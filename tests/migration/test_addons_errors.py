"""Files and models that do not belong together."""

import shutil
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.migration.addons import (
    SOME,
    branches,
    built,
    images,
    needs_tensorflow,
    nested,
    with_formats,
)
from tests.migration.wrapped import wrappers
from tfspecnorm.layers import SpectralNorm, WeightNorm
from tfspecnorm.migration import load_tensorflow_addons


@with_formats("weight_data_images_untrained")
def test_gains_that_wait_for_data_are_refused(folder, name, kind):
    refused(built(name, WeightNorm), folder / f"{name}{kind}", "called on data.*not initialized")


def refused(model, path, match):
    """The error is raised, and nothing of the model has changed."""
    before = [tools.array(variable) for variable in model.weights]
    with pytest.raises(ValueError, match=match):
        load_tensorflow_addons(model, path)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(tools.array(variable), value)


def test_transposed_convolution_was_normalized_along_its_inputs(folder):
    path = folder / "weight_branches_weights.h5"
    refused(branches(WeightNorm), path, "Conv2DTranspose named 'up'")


def test_paths_without_a_file_of_keras_2(folder, tmp_path):
    model = images(SpectralNorm)
    refused(model, tmp_path / "none.h5", "`path` must be the path of a file.*path='.*none.h5'")
    refused(model, tmp_path, "`path` must be the path of a file")
    text = tmp_path / "text.h5"
    text.write_text("no weights")
    refused(model, text, "must be a file that Keras 2 wrote.*of no known format")
    cut = tmp_path / "cut.h5"
    cut.write_bytes((folder / "spectral_images.h5").read_bytes()[:3000])
    refused(model, cut, "must be a file that Keras 2 wrote.*cannot be read")
    refused(model, folder.parent / "none", "where there is none")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    refused(model, tmp_path / "other.zip", "cannot be read.*model.weights.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measured"] = np.ones(3)
    refused(model, tmp_path / "other.h5", r"with the groups \['measured'\]")
    model.save(tmp_path / "new.keras")
    refused(model, tmp_path / "new.keras", "as many layers with weights.*spectral_norm")


@with_formats("spectral_images")
def test_another_number_of_layers(folder, name, kind):
    model = keras.Sequential([keras.Input((6, 6, 2)), *images(SpectralNorm).layers[:-1]])
    refused(model, folder / f"{name}{kind}", "as many layers with weights as the file.* 4 .* 5 ")


@with_formats("spectral_images")
def test_another_shape(folder, name, kind):
    model = images(SpectralNorm)
    kept = [keras.Input((6, 6, 2)), *model.layers[:-2], SpectralNorm(layers.Dense(4, name="t"))]
    model = keras.Sequential([*kept, layers.Dense(2)])
    message = r"'kernel' of shape \(3, 4\) for layer 'spectral_norm.*with shape \(3, 5\)"
    refused(model, folder / f"{name}{kind}", message)


@with_formats("spectral_images")
def test_variables_that_are_missing(folder, name, kind):
    kept = images(SpectralNorm).layers
    last = layers.Dense(2, use_bias=False, name="last")
    model = keras.Sequential([keras.Input((6, 6, 2)), *kept[:-1], last])
    refused(model, folder / f"{name}{kind}", "'last'|2 variables in 'layers/dense', not 1")


@pytest.mark.parametrize(
    "name, wrap",
    [
        ("spectral_images", WeightNorm),
        ("weight_images", SpectralNorm),
        ("spectral_images", lambda layer: layer),
        ("weight_images", lambda layer: layer),
    ],
    ids=["spectral_for_weight", "weight_for_spectral", "spectral_for_plain", "weight_for_plain"],
)
@pytest.mark.parametrize("kind", SOME)
def test_another_method(folder, name, kind, wrap):
    path = folder / f"{name}{kind}"
    refused(images(wrap), path, "`model` must have a `|as many layers with weights")


def test_wrappers_where_the_file_has_plain_layers(folder):
    model = images(SpectralNorm)
    last = SpectralNorm(layers.Dense(2), name="last")
    model = keras.Sequential([keras.Input((6, 6, 2)), *model.layers[:-1], last])
    path = folder / "spectral_images.h5"
    refused(model, path, "must have a plain layer where.*SpectralNorm named 'last'")


def test_gain_is_missing(folder, tmp_path):
    path = tmp_path / "edited.h5"
    shutil.copy(folder / "weight_images_weights.h5", path)
    with h5py.File(path, "r+") as file:
        group = file["weight_normalization_1"]
        names = [name for name in group.attrs["weight_names"] if not name.endswith("/g:0")]
        group.attrs["weight_names"] = names
    refused(images(WeightNorm), path, "its gain `g`.*in 'weight_normalization_1'")


def test_directions_shorter_than_what_tensorflow_addons_resolves(folder, tmp_path):
    """It divides by 1e-6 at least, and the gain takes up the difference."""
    path = tmp_path / "edited.h5"
    shutil.copy(folder / "weight_images_weights.h5", path)
    with h5py.File(path, "r+") as file:
        group = file["weight_normalization_2/weight_normalization_2"]
        kernel = group["kernel:0"][()]
        kernel[:, 0] *= 1e-8
        kernel[:, 1] = 0.0
        group["kernel:0"][...] = kernel
        gain = group["g:0"][()]
    model = images(WeightNorm)
    load_tensorflow_addons(model, path)
    lengths = np.linalg.norm(kernel, axis=0)
    expected = gain * kernel / np.maximum(lengths, 1e-6)
    effective = tools.array(wrappers(model)[2].effective_kernels()["kernel"])
    np.testing.assert_allclose(effective, expected, rtol=1e-5)


@pytest.mark.parametrize("frozen", ["batch_normalization", "spectral_normalization"])
def test_partly_frozen_model_in_a_model(folder, tmp_path, frozen):
    """Keras 2 puts the variables of frozen layers behind the trained ones of all layers."""
    path = tmp_path / "edited.h5"
    shutil.copy(folder / "spectral_nested_weights.h5", path)
    with h5py.File(path, "r+") as file:
        group = file["inner"]
        names = list(group.attrs["weight_names"])
        first = [name for name in names if name.startswith(f"{frozen}/")]
        state = next(i for i, name in enumerate(names) if "sn_u" in name)
        trained = [name for name in names[:state] if name not in first]
        untrained = [name for name in names[state:] if name not in first]
        where = 1 if frozen == "batch_normalization" else 0
        group.attrs["weight_names"] = trained + untrained[:where] + first + untrained[where:]
    refused(nested(SpectralNorm), path, rf"\['{frozen}'\] in the model 'inner' have no trained")


def test_depthwise_kernel_has_another_name_in_keras_2(tmp_path):
    path = tmp_path / "old.h5"
    kernel = tools.random(3, 3, 2, 1)
    with h5py.File(path, "w") as file:
        group = file.create_group("sn")
        file.attrs["layer_names"] = [b"sn"]
        group.attrs["weight_names"] = [b"sn/depthwise_kernel:0", b"sn/bias:0"]
        group["sn/depthwise_kernel:0"], group["sn/bias:0"] = kernel, np.ones(2)
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.DepthwiseConv2D(3)])
    load_tensorflow_addons(model, path)
    np.testing.assert_array_equal(tools.array(model.layers[0].kernel), kernel)


def test_names_in_several_parts(tmp_path):
    """As Keras 2 writes more of them than fit into one attribute."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a"], [b"b"]
        for name in "ab":
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0"]
            group[f"{name}/kernel:0"] = np.full((2, 2), ord(name), "float32")
    model = keras.Sequential(
        [keras.Input((2,)), *(layers.Dense(2, use_bias=False) for _ in range(2))]
    )
    load_tensorflow_addons(model, path)
    assert [tools.array(v).max() for v in model.weights] == [ord("a"), ord("b")]


def test_checkpoint_without_tensorflow(folder, monkeypatch):
    model = images(SpectralNorm)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="is read by TensorFlow: install it.*Received: path="):
        load_tensorflow_addons(model, folder / "spectral_images")


@needs_tensorflow
def test_checkpoint_of_something_else(tmp_path):
    import tensorflow as tf

    path = tf.train.Checkpoint(a=tf.Variable(1.0)).write(str(tmp_path / "other"))
    refused(images(SpectralNorm), path, "a checkpoint without layers of a Sequential or")


def test_bad_models_for_tensorflow_addons(folder):
    path = folder / "spectral_images.h5"
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=3"):
        load_tensorflow_addons(3, path)
    with pytest.raises(ValueError, match="must be built.*Received: unbuilt model"):
        load_tensorflow_addons(keras.Sequential([SpectralNorm(layers.Dense(2))]), path)
