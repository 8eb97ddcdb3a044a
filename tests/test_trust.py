"""The command line loads no file that the installed Keras would run code from."""

import json
import zipfile

import keras
import pytest

import tfspecnorm
from tests.test_main import failing
from tfspecnorm import surgery
from tfspecnorm._commands import trust
from tfspecnorm.layers import SpectralNorm, WeightNorm

pytest.importorskip("rich")
from tfspecnorm.__main__ import main


@pytest.fixture
def old_keras(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.7.0")


def model(*others):
    parts = [keras.Input((4,)), SpectralNorm(keras.layers.Dense(3, activation="relu"))]
    return keras.Sequential([*parts, *others, keras.layers.Dense(2, kernel_regularizer="l2")])


def changed(path, change):
    """A copy of a `.keras` file with another configuration."""
    target = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            new.writestr(name, data)
    return target


def lambda_without_module(config):
    config["config"]["layers"][-1] = {"class_name": "Lambda", "config": {"function": "x"}}


def function_of_another_module(config):
    layer = config["config"]["layers"][-1]["config"]
    layer["activation"] = {
        **{"module": "os", "class_name": "function", "config": "system"},
        "registered_name": "system",
    }


def function_of_keras(config):
    config["config"]["layers"].append(
        {
            **{"module": "keras.config", "class_name": "enable_unsafe_deserialization"},
            **{"config": {}, "registered_name": None},
        }
    )


def class_of_another_module(config):
    layer = config["config"]["layers"][-1]
    layer.update(module="subprocess", class_name="Popen", registered_name="Popen")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda_without_module, "a Lambda"),
        (function_of_another_module, "a function"),
        (function_of_keras, "enable_unsafe_deserialization of the module keras.config"),
        (class_of_another_module, "Popen of the module subprocess"),
    ],
)
def test_file_that_might_run_code(change, found, tmp_path, capsys, old_keras, monkeypatch):
    model().save(tmp_path / "model.keras")
    path = changed(tmp_path / "model.keras", change)
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("loaded"))
    for words in (["report", path], ["fold", path, tmp_path / "out.keras"]):
        line = failing(capsys, *words)
        assert f"might run code with Keras 3.7.0: it is or holds {found}. Install" in line
        assert "3.11.3 or newer, or give --trust" in line


def test_code_in_an_hdf5_file_does_not_run(tmp_path, capsys, old_keras):
    marker = tmp_path / "ran"
    name = str(marker)
    code = keras.layers.Lambda(lambda x: open(name, "w").close() or x, output_shape=(3,))
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(code(inputs))
    path = tmp_path / "model.h5"
    keras.Model(inputs, outputs).save(path)
    marker.unlink(missing_ok=True)
    for command in (["report", path], ["export", path, tmp_path / "x.keras"]):
        assert "it is or holds a file of another format than .keras" in failing(capsys, *command)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_trusted_file_is_loaded(tmp_path, capsys, old_keras):
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    plain.save(tmp_path / "model.h5")
    assert main(["report", str(tmp_path / "model.h5"), "--trust", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"]


def functional():
    inputs = keras.Input((8, 8, 2))
    first = WeightNorm(keras.layers.Conv2D(3, 3))(inputs)
    outputs = keras.layers.Flatten()(keras.layers.BatchNormalization()(first)[:, :2])
    nested = model()(keras.layers.Dense(4, activation="gelu")(outputs))
    return keras.Model(inputs, [nested, keras.ops.relu(outputs) * 2.0])


@pytest.mark.parametrize(
    "made",
    [
        model,
        functional,
        lambda: tfspecnorm.models.mobilenet_v2((8, 8, 3), 2, width=0.1),
        lambda: surgery.group(model()),
        lambda: tfspecnorm.models.vgg7((32, 32, 3), 2, width=0.1),
    ],
)
def test_harmless_files_are_trusted(made, tmp_path, old_keras):
    network = made()
    network.compile(keras.optimizers.Adam(tfspecnorm.schedules.QuadraticWarmUp(0.1, 3)), "mse")
    network.save(tmp_path / "model.keras")
    assert trust.untrusted(tmp_path / "model.keras") is None


def test_a_safe_keras_is_asked_for_nothing(tmp_path, monkeypatch):
    for version, safe in (("3.11.2", False), ("3.11.3", True), ("3.12.0", True), ("4.0", True)):
        monkeypatch.setattr(keras, "__version__", version)
        assert (trust.untrusted(tmp_path / "model.h5") is None) == safe
