"""Models as users have them: unnamed inputs, augmentation, lookups, other precisions, dicts."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.surgery import blocks
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.surgery import in_float32

TENSORFLOW = tools.BACKEND == "tensorflow"
ALL = ["model.keras", *(["served", "model.onnx", "model.tflite"] if TENSORFLOW else [])]


def need(name):
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert")
    if name.endswith(".onnx"):
        pytest.importorskip("tf2onnx")


def exported(model, path, **arguments):
    need(path.name)
    return tfspecnorm.export(model, path, **arguments)


@pytest.mark.parametrize("name", ALL)
def test_inputs_without_names(name, tmp_path):
    one = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    report = exported(one, tmp_path / name)
    assert report.largest_difference < 1e-5
    left, right = keras.Input((4,)), keras.Input((4,))
    two = keras.Model([right, left], layers.Dense(3)(left) - layers.Dense(3)(right))
    report = exported(two, tmp_path / f"two{name}")
    assert report.largest_difference < 1e-5
    assert [part.name for part in report.inputs] == [
        part.name for part in two.layers if isinstance(part, layers.InputLayer)
    ][::-1]


@pytest.mark.parametrize("name", ALL)
def test_names_that_are_no_names_elsewhere(name, tmp_path):
    left, right = keras.Input((4,), name="left side"), keras.Input((3,), name="right side")
    model = keras.Model([left, right], layers.Dense(3)(left) - layers.Dense(3)(right))
    data = {"right side": tools.random(5, 3), "left side": tools.random(5, 4)}
    assert exported(model, tmp_path / name, evaluation=data).largest_difference < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_dicts_of_outputs(name, tmp_path):
    given = keras.Input((4,), name="given")
    model = keras.Model(given, {"b_1": layers.Dense(3)(given), "a_2": layers.Dense(2)(given)})
    report = exported(model, tmp_path / name)
    assert report.largest_difference < 1e-5
    assert [part.shape[-1] for part in report.outputs] == [2, 3]


@pytest.mark.parametrize("name", ALL)
def test_augmentation_is_off(name, tmp_path):
    given = keras.Input((8, 8, 1), name="given")
    hidden = layers.RandomFlip()(given)
    model = keras.Model(given, layers.Dense(2)(layers.Flatten()(layers.Dropout(0.5)(hidden))))
    report = exported(model, tmp_path / name)
    assert report.largest_difference < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_adapted_layers_of_half_precision(name, tmp_path):
    data = 50 + 10 * tools.random(40, 3)
    keras.config.set_dtype_policy("mixed_float16")
    adapted = layers.Normalization()
    adapted.adapt(data)
    model = keras.Sequential([keras.Input((3,)), adapted, SpectralNorm(layers.Dense(4))])
    keras.config.set_dtype_policy("float32")
    if name == "model.onnx":
        need(name)
        with pytest.raises(ValueError, match="no constants besides its weights"):
            tfspecnorm.export(model, tmp_path / name, evaluation=data)
        return
    report = exported(model, tmp_path / name, evaluation=data)
    assert report.signal_to_noise_db > 40


def nested_mixed_model():
    keras.config.set_dtype_policy("mixed_float16")
    inner = keras.Sequential([keras.Input((6, 4)), layers.Dense(5, activation="relu")])
    given = keras.Input((6, 4), name="given")
    hidden = inner(given)
    hidden = layers.TimeDistributed(SpectralNorm(layers.Dense(3)))(hidden)
    hidden = layers.Bidirectional(layers.LSTM(2, unroll=True))(hidden)
    model = keras.Model(given, layers.Dense(3)(hidden))
    keras.config.set_dtype_policy("float32")
    return model


@pytest.mark.parametrize("name", ALL)
def test_half_precision_inside_other_layers(name, tmp_path):
    model = nested_mixed_model()
    report = exported(model, tmp_path / name)
    assert report.signal_to_noise_db > 40
    if name == "model.keras":
        loaded = keras.saving.load_model(tmp_path / name)
        for layer in loaded._flatten_layers():
            assert layer.compute_dtype == "float32", layer.name


def test_float32_stays_as_it_is():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    assert in_float32(model) is model


@pytest.mark.skipif(not TENSORFLOW, reason="needs TensorFlow")
@pytest.mark.parametrize("name", ["model.keras", "served"])
def test_lookups_keep_their_words(name, tmp_path):
    lookup = layers.IntegerLookup(output_mode="one_hot")
    lookup.adapt(np.array([[5], [6], [7]]))
    given = keras.Input((1,), dtype="int32", name="given")
    model = keras.Model(given, layers.Dense(2)(lookup(given)))
    data = np.array([[5], [7], [9]], "int32")
    assert exported(model, tmp_path / name, evaluation=data).largest_difference < 1e-6


def test_functions_from_memory(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])
    plain = tfspecnorm.fold(model)
    inputs = tools.random(4, 3)
    np.testing.assert_array_equal(tools.array(plain(inputs)), tools.array(model(inputs)))


@pytest.mark.parametrize("name", ALL)
def test_batches_of_one(name, tmp_path):
    model = keras.Sequential([keras.Input((4,), batch_size=1), layers.Dense(2)])
    assert exported(model, tmp_path / name).largest_difference < 1e-5


@pytest.mark.parametrize(
    "given", [{"shape": (4,), "batch_size": 3}, {"shape": (4,), "dtype": "string"}]
)
def test_inputs_that_no_file_takes(given, tmp_path):
    given = keras.Input(**given)
    model = keras.Model(given, keras.layers.Identity()(given))
    with pytest.raises(ValueError, match="`model` must take numbers, in batches of any size"):
        tfspecnorm.export(model, tmp_path / "model.keras")


def test_outputs_that_are_not_finite(tmp_path):
    given = keras.Input((4,))
    model = keras.Model(given, keras.ops.log(layers.Dense(2)(given)))
    with pytest.raises(ValueError, match="`evaluation` must hold samples for which the outputs"):
        tfspecnorm.export(model, tmp_path / "model.keras")
    assert list(tmp_path.iterdir()) == []


def test_layers_that_a_file_cannot_name(tmp_path):
    class Unregistered(layers.Layer):
        def call(self, inputs):
            return inputs

    model = keras.Sequential([keras.Input((4,)), Unregistered()])
    with pytest.raises(ValueError, match="one that the format Keras can hold"):
        tfspecnorm.export(model, tmp_path / "model.keras")
    assert list(tmp_path.iterdir()) == []


def test_links_stay_links(tmp_path):
    (tmp_path / "blob.bin").write_text("old")
    (tmp_path / "latest.keras").symlink_to(tmp_path / "blob.bin")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    tfspecnorm.export(model, tmp_path / "latest.keras")
    assert (tmp_path / "latest.keras").is_symlink()
    assert keras.saving.load_model(tmp_path / "latest.keras", compile=False).count_params() == 10


class WithoutConfiguration(keras.Model):
    """A model that nothing can copy, with a wrapper in its code."""

    def __init__(self, wrapper):
        super().__init__()
        self.dense = wrapper(layers.Dense(3))

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize("name", [name for name in ALL if name != "model.keras"])
def test_a_model_that_cannot_be_copied_has_its_weights_afterwards(name, tmp_path):
    model = WithoutConfiguration(SpectralNorm)
    model(tools.random(2, 4))
    before = model.get_weights()
    report = exported(model, tmp_path / name)
    assert report.largest_difference < 1e-5
    assert [part.shape[1:] for part in report.inputs] == [(4,)]
    assert not model.dense.is_folded
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["net", "pixel-attention", "classifier"])
@pytest.mark.filterwarnings("ignore:`wrap` leaves")
def test_classes_of_their_own(kind, name, tmp_path):
    model = tfspecnorm.wrap(blocks.MODELS[kind](), SpectralNorm)
    report = exported(model, tmp_path / name)
    assert report.largest_difference < 1e-5


def test_inputs_that_are_not_known_are_asked_for(tmp_path):
    model = WithoutConfiguration(SpectralNorm)
    model(tools.random(2, 4))
    with pytest.raises(ValueError, match="`input_shape` must be a shape of one sample that fits"):
        tfspecnorm.export(model, tmp_path / "model.keras", input_shape=(5,))
