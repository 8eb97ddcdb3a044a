import pathlib
import shutil
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm, WeightNorm
from tfspecnorm.migration import from_keras, load_tensorflow_addons

GOLDEN = pathlib.Path(__file__).parent / "golden"


def learned(layer):
    return SpectralNorm(layer, scale=scales.Learned())


def wrappers(model):
    """The wrappers of a model and of the models in it, in order."""
    found = []
    for layer in model.layers:
        if isinstance(layer, (SpectralNorm, WeightNorm)):
            found.append(layer)
        elif isinstance(layer, keras.Model):
            found += wrappers(layer)
        elif isinstance(layer, layers.TimeDistributed):
            found.append(layer.layer)
    return found


def sigma_of(kernel, output_axis=-1):
    return tools.largest_singular_value(tools.matrix_of(kernel, output_axis))


# `keras.layers.SpectralNormalization`.


@pytest.fixture(scope="module")
def normalized():
    return keras.saving.load_model(GOLDEN / "keras_spectral.keras")


@pytest.fixture(scope="module")
def keras_arrays():
    return dict(np.load(GOLDEN / "keras_spectral.npz"))


def test_learned_scales_keep_what_a_model_of_keras_computes(normalized, keras_arrays):
    inputs, outputs = {"images": keras_arrays["inputs"]}, keras_arrays["outputs"]
    np.testing.assert_allclose(tools.array(normalized(inputs)), outputs, atol=1e-5)
    new = from_keras(normalized, learned)
    assert len(wrappers(new)) == 4
    np.testing.assert_allclose(tools.array(new(inputs)), outputs, atol=1e-5)


def test_kernels_of_keras_are_carried_over_and_divided_by_their_norm(normalized, keras_arrays):
    new = from_keras(normalized)
    found = wrappers(new)
    names = ["normalized_shared", "normalized_inside", "normalized_up", "normalized_step"]
    assert [layer.name for layer in found] == names
    assert [layer.power_iterations for layer in found] == [2, 1, 1, 1]
    assert [layer.name for layer in new.layers] == [layer.name for layer in normalized.layers]
    for layer in found:
        (path,) = (p for p in keras_arrays if p.endswith(f"{layer.layer.name}/kernel"))
        kernel = keras_arrays[path]
        np.testing.assert_array_equal(tools.array(layer.layer.kernel), kernel)
        axis = -2 if isinstance(layer.layer, layers.Conv2DTranspose) else -1
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(effective, kernel / sigma_of(kernel, axis), atol=1e-5)
    plain = tools.array(new.get_layer("plain").kernel)
    np.testing.assert_array_equal(plain, keras_arrays["plain/kernel"])
    moving = tools.array(new.get_layer("inner").get_layer("statistics").moving_mean)
    np.testing.assert_array_equal(moving, keras_arrays["inner/statistics/moving_mean"])


def test_weights_alone_of_keras(normalized, keras_arrays):
    model = keras.models.clone_model(normalized)
    model.load_weights(GOLDEN / "keras_spectral.weights.h5")
    new = from_keras(model, learned)
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_file_of_the_keras_that_is_installed(normalized, keras_arrays, tmp_path):
    """The golden files are of the oldest one."""
    normalized.save(tmp_path / "again.keras")
    new = from_keras(keras.saving.load_model(tmp_path / "again.keras"), learned)
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_inner_layers_of_keras_left_plain(normalized, keras_arrays):
    plain = from_keras(normalized, lambda layer: layer)
    assert wrappers(plain)[0].name == "step"
    assert [type(layer) for layer in plain.layers][1] is layers.Conv2D
    outputs = tools.array(plain({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_the_model_of_keras_stays_what_it_is(normalized, keras_arrays):
    new = from_keras(normalized)
    assert not new.compiled
    for variable in new.weights:
        variable.assign(np.zeros(variable.shape))
    outputs = tools.array(normalized({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)
    assert normalized.compiled


def test_frozen_wrappers_of_keras_stay_frozen():
    frozen = layers.SpectralNormalization(layers.Dense(3), trainable=False)
    model = keras.Sequential([keras.Input((4,)), frozen])
    for wrapper in (SpectralNorm, learned, WeightNorm):
        assert from_keras(model, wrapper).trainable_weights == []


def test_other_wrappers_take_the_place_of_those_of_keras(normalized, keras_arrays):
    new = from_keras(normalized, WeightNorm)
    assert {type(layer) for layer in wrappers(new)} == {WeightNorm}
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


class MakesLayers(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.SpectralNormalization(layers.Dense(3))

    def call(self, inputs):
        return self.dense(inputs)


def test_bad_models_of_keras(normalized):
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=3"):
        from_keras(3)
    with pytest.raises(ValueError, match="must be built.*Received: unbuilt model"):
        from_keras(keras.Sequential([layers.SpectralNormalization(layers.Dense(3))]))
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(3)], name="plain")
    with pytest.raises(ValueError, match="must hold a `keras.*Received: model 'plain' without"):
        from_keras(plain)
    with pytest.raises(ValueError, match="`wrapper` must return a wrapper.*returning None"):
        from_keras(normalized, lambda layer: None)
    model = MakesLayers()
    model(tools.random(2, 5))
    with pytest.raises(ValueError, match="cannot be exchanged.*MakesLayers named"):
        from_keras(model)


@keras.saving.register_keras_serializable(package="tests")
class OwnKernel(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")

    def call(self, inputs):
        return inputs @ self.kernel


def test_layer_of_unknown_kernels_in_a_wrapper_of_keras():
    unknown = layers.SpectralNormalization(OwnKernel())
    model = keras.Sequential([keras.Input((4,)), unknown])
    with pytest.raises(ValueError, match="known kernels.*Received: layer=OwnKernel"):
        from_keras(model)


# tensorflow-addons. The models are those of `golden/make_tfa.py`.


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("addons")
    with zipfile.ZipFile(GOLDEN / "tensorflow_addons.zip") as archive:
        archive.extractall(path)
    return path


def arrays_of(folder, name):
    return dict(np.load(folder / f"{name}.npz"))


MODELS = {"images": images, "nested": nested, "branches": branches, "ids": ids}
MODELS["sequences"] = sequences


def built(name, wrap):
    return MODELS[name.removesuffix("_untrained").rpartition("_")[2]](wrap)


@with_formats("spectral_images", "spectral_nested", "spectral_branches", "spectral_ids")
def test_learned_scales_keep_what_a_spectral_model_computes(folder, name, kind):
    model = built(name, learned)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    outputs = tools.array(model(arrays["inputs"]))
    np.testing.assert_allclose(outputs, arrays["outputs"], atol=1e-5)


@with_formats("spectral_images", "spectral_nested")
def test_spectral_kernels_are_divided_by_their_norm(folder, name, kind):
    model = built(name, SpectralNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    stored = [arrays[key] for key in arrays if key.endswith("/kernel:0") and "plain" not in key]
    found = wrappers(model)
    assert len(found) == 3
    for layer, kernel in zip(found, stored, strict=True):
        np.testing.assert_array_equal(tools.array(layer.layer.kernel), kernel)
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(effective, kernel / sigma_of(kernel), atol=1e-5)


@with_formats(
    "weight_images", "weight_data_images", "weight_nested", "weight_data_nested", "weight_sequences"
)
def test_weight_normalization_computes_what_it_computed(folder, name, kind):
    model = built(name, WeightNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    outputs = tools.array(model(arrays["inputs"]))
    np.testing.assert_allclose(outputs, arrays["outputs"], atol=1e-5)
    gains = [arrays[key] for key in arrays if key.endswith("/g:0")]
    for layer, gain in zip(wrappers(model), gains, strict=True):
        recurrent = isinstance(layer.layer, layers.LSTM)
        found = layer.gains()["recurrent_kernel" if recurrent else "kernel"]
        np.testing.assert_allclose(tools.array(found), gain, rtol=1e-6)


@with_formats("weight_images_untrained")
def test_gains_of_a_model_that_was_never_called_are_lengths(folder, name, kind):
    model = built(name, WeightNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    for layer in wrappers(model):
        kernel = tools.array(layer.layer.kernel)
        lengths = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
        np.testing.assert_allclose(tools.array(layer.gains()["kernel"]), lengths, rtol=1e-6)


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
