"""Keras, SavedModel and ONNX files, and which backend writes what."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.edge.conftest import SHAPE

PARAMETERS = 3 * 9 * 8 + 8 + 9 * 8 + 8 + 8 * 5 + 5
TENSORFLOW = tools.BACKEND == "tensorflow"


def expected(model, samples):
    return tools.array(model(samples, training=False))


def test_keras_file_is_plain(model, samples, tmp_path):
    path = tmp_path / "model.keras"
    report = tfspecnorm.export(model, path, evaluation=samples)
    loaded = keras.saving.load_model(path, compile=False)
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}
    outputs = tools.array(loaded(samples))
    np.testing.assert_allclose(outputs, expected(model, samples), atol=1e-5)
    assert report.format == "Keras"
    assert report.parameters == PARAMETERS
    assert report.operators == {
        "Conv2D": 1, "Dense": 1, "DepthwiseConv2D": 1, "GlobalAveragePooling2D": 1, "ReLU": 2,
    }  # fmt: skip
    assert report.latency_ms is None
    assert report.largest_difference < 1e-5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not TENSORFLOW, reason="needs TensorFlow")
def test_saved_model(model, samples, tmp_path):
    import tensorflow as tf

    path = tmp_path / "served"
    report = tfspecnorm.export(model, path, evaluation=samples)
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(loaded.serve(samples).numpy(), expected(model, samples), atol=1e-5)
    assert report.format == "SavedModel"
    assert report.file_bytes == sum(
        part.stat().st_size for part in path.rglob("*") if part.is_file()
    )
    assert report.operators["Conv2D"] == report.operators["DepthwiseConv2dNative"] == 1
    assert report.largest_difference < 1e-5
    # Once more, over what is there; but not over what somebody has added.
    (path / "assets" / "mark").touch()
    tfspecnorm.export(model, path, evaluation=samples)
    assert not (path / "assets" / "mark").exists()
    assert [part.name for part in tmp_path.iterdir()] == ["served"]
    (path / "labels.txt").touch()
    with pytest.raises(FileExistsError, match="holds a SavedModel and nothing else"):
        tfspecnorm.export(model, path)
    assert (path / "labels.txt").exists()


@pytest.mark.skipif(not TENSORFLOW, reason="needs TensorFlow")
def test_saved_model_with_several_inputs_and_outputs(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    hidden = layers.Concatenate()([layers.Dense(5)(left), layers.Dense(5)(right)])
    model = keras.Model([right, left], [layers.Dense(3)(hidden), layers.Dense(2)(hidden)])
    report = tfspecnorm.export(model, tmp_path / "served")
    assert report.largest_difference < 1e-5
    assert [part.shape[1] for part in report.outputs] == [3, 2]


def test_a_folder_with_other_things_stays(model, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    error = FileExistsError if TENSORFLOW else ValueError
    with pytest.raises(error, match="Argument `path` must"):
        tfspecnorm.export(model, tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(tools.BACKEND == "jax", reason="not written on JAX")
def test_onnx_round_trip(model, samples, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx" if TENSORFLOW else "onnxscript")
    path = tmp_path / "model.onnx"
    report = tfspecnorm.export(model, path, evaluation=samples)
    session = runtime.InferenceSession(path)
    (given,) = session.get_inputs()
    outputs = np.concatenate(
        [session.run(None, {given.name: sample[np.newaxis]})[0] for sample in samples]
    )
    np.testing.assert_allclose(outputs, expected(model, samples), atol=1e-5)
    assert report.format == "ONNX"
    assert report.operators["Conv"] == 2
    assert report.largest_difference < 1e-5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(TENSORFLOW, reason="TensorFlow writes them all")
def test_formats_of_other_backends(model, tmp_path):
    for name in ("model.tflite", "served", *(["model.onnx"] if tools.BACKEND == "jax" else [])):
        with pytest.raises(ValueError, match=f"another ending on the backend {tools.BACKEND}"):
            tfspecnorm.export(model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_unknown_ending(model, tmp_path, monkeypatch):
    for name in (".tflite", ".hidden"):
        with pytest.raises(ValueError, match="`path` must end in one of"):
            tfspecnorm.export(model, tmp_path / name)
    if TENSORFLOW:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FileExistsError, match="`path` must be a new path"):
            tfspecnorm.export(model, tmp_path)
    with pytest.raises(ValueError, match=r"`path` must end in one of: .tflite \(LiteRT\).*\.pb"):
        tfspecnorm.export(model, tmp_path / "model.pb")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int8"}, "`quantize` must be `None` for the format Keras"),
        ({"quantize": "int4"}, "`quantize` must be `None`, \"float16\".*quantize='int4'"),
        ({"micro": True}, "`micro` must be `None` or `False` for other formats"),
        ({"seed": -1}, "`seed` must be an integer of at least 0. Received: seed=-1"),
        ({"input_shape": "883"}, "`input_shape` must be a shape"),
        ({"runs": 0}, "`runs` must be a positive integer"),
        ({"threads": 1.5}, "`threads` must be a positive integer"),
        ({"evaluation": np.zeros((0, *SHAPE))}, "`evaluation` must hold at least one sample"),
        ({"calibration": np.zeros((4, 3))}, "`calibration` must hold samples of shape"),
        (
            {"evaluation": (np.zeros((3, *SHAPE)), np.array([0, 1, 5]))},
            r"labels a class in \[0, 5\).*from 0 to 5",
        ),
        (
            {"evaluation": (np.zeros((3, *SHAPE)), np.array([0.5, 1, 2]))},
            r"labels a class in \[0, 5\)",
        ),
        ({"evaluation": (np.zeros((3, *SHAPE)), np.full((3, 5), 0.2))}, "row of 5 ones and zeros"),
    ],
)
def test_wrong_arguments_leave_nothing(model, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        tfspecnorm.export(model, tmp_path / "model.keras", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_models_that_cannot_be_exported(tmp_path):
    with pytest.raises(ValueError, match="`model` must be a Keras model"):
        tfspecnorm.export("model", tmp_path / "model.keras")
    with pytest.raises(ValueError, match="`model` must be built"):
        tfspecnorm.export(keras.Sequential([layers.Dense(2)]), tmp_path / "model.keras")


def test_unwritable_paths(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be a path in a folder that exists"):
        tfspecnorm.export(model, tmp_path / "missing" / "model.keras")
    with pytest.raises(IsADirectoryError, match="`path` must be the path of a file"):
        (tmp_path / "folder.keras").mkdir()
        tfspecnorm.export(model, tmp_path / "folder.keras")


@pytest.mark.parametrize("name", ["model.keras", "model.tflite", "served"])
def test_a_failure_while_writing_leaves_what_was_there(model, name, tmp_path, monkeypatch):
    if not TENSORFLOW and name != "model.keras":
        pytest.skip("needs TensorFlow")
    if name == "model.tflite":
        pytest.importorskip("ai_edge_litert")
    tfspecnorm.export(model, tmp_path / name)
    before = {
        part.relative_to(tmp_path): part.read_bytes()
        for part in tmp_path.rglob("*")
        if part.is_file()
    }

    def fails(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tfspecnorm.edge.exporting.measured", fails)
    with pytest.raises(OSError, match="No space left"):
        tfspecnorm.export(model, tmp_path / name)
    after = {
        part.relative_to(tmp_path): part.read_bytes()
        for part in tmp_path.rglob("*")
        if part.is_file()
    }
    assert after == before
