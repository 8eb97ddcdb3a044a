"""The interpreter for microcontrollers: agreement, memory, and what it has not."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.edge.conftest import SHAPE
from tfspecnorm import edge
from tfspecnorm.edge import _micro

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
pytest.importorskip("tflite_micro")
pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def exported(model, samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.tflite"
    return path, tfspecnorm.export(model, path, "int8", samples)


def test_report(exported):
    path, report = exported
    micro = report.micro
    assert micro.supported
    assert micro.reason is None
    assert micro.model_bytes == path.stat().st_size
    assert micro.samples == 64
    assert micro.agreement >= 0.98
    # Kernels may differ by a step or two of the output.
    assert micro.largest_difference <= 2.001 * report.outputs[0].scale


def runs_in(path, arena, folder):
    """Whether the file runs in a given number of bytes, by a process of its own."""
    code = (
        "import sys\n"
        "from tflite_micro.python.tflite_micro import runtime\n"
        "made = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))\n"
        "made.invoke()\n"
    )
    words = [sys.executable, "-c", code, str(path), str(arena)]
    return subprocess.run(words, capture_output=True, cwd=folder).returncode == 0


def test_arena_suffices_and_is_not_much_too_large(exported, tmp_path):
    path, report = exported
    arena = report.micro.arena_bytes
    assert runs_in(path, arena, tmp_path)
    assert not runs_in(path, 0.9 * arena, tmp_path)
    # Nothing computes with less than inputs and outputs of the largest layer.
    assert arena > np.prod(SHAPE) + 8 * 8 * 8


def test_float_files_run_there_if_asked(model, samples, tmp_path):
    path = tmp_path / "model.tflite"
    assert tfspecnorm.export(model, path, evaluation=samples).micro is None
    micro = tfspecnorm.export(model, path, evaluation=samples, micro=True).micro
    assert micro.supported
    assert micro.agreement == 1.0
    assert micro.largest_difference < 1e-4


def test_not_run_if_not_wanted(model, samples, tmp_path):
    path = tmp_path / "model.tflite"
    assert tfspecnorm.export(model, path, "int8", samples, micro=False).micro is None
    assert edge.inspect(path, micro=False).micro is None


def test_operator_that_it_has_not(tmp_path):
    inputs = [keras.Input(SHAPE), layers.Conv2D(4, 3), layers.Activation("gelu")]
    model = keras.Sequential([*inputs, layers.Flatten(), layers.Dense(3)])
    path = tmp_path / "model.tflite"
    report = tfspecnorm.export(model, path, "int8", tools.random(20, *SHAPE))
    assert not report.micro.supported
    assert report.micro.reason == "it has no operator GELU"
    assert report.micro.arena_bytes is None
    assert report.largest_difference < 0.2
    assert "it has no operator GELU" in report.to_markdown()


def test_type_that_an_operator_has_not(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("exponential")])
    report = tfspecnorm.export(model, tmp_path / "model.tflite", "int8", tools.random(20, 4))
    assert not report.micro.supported
    assert "exp" in report.micro.reason


def test_two_inputs_and_outputs(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    hidden = layers.Concatenate()([layers.Dense(5)(left), layers.Dense(5)(right)])
    model = keras.Model([left, right], [layers.Dense(3)(hidden), layers.Dense(2)(hidden)])
    data = [tools.random(40, 4), tools.random(40, 6, seed=1)]
    report = tfspecnorm.export(model, tmp_path / "model.tflite", "int8", data)
    assert report.micro.supported
    assert report.micro.largest_difference <= 2.001 * max(part.scale for part in report.outputs)


def test_a_process_that_does_not_end(exported, monkeypatch):
    monkeypatch.setattr(_micro, "_LIMIT_S", 0.01)
    micro = edge.inspect(exported[0]).micro
    assert not micro.supported
    assert micro.reason == "it did not end within 0.01 s"


def test_what_is_not_installed_is_named(model, samples, tmp_path, monkeypatch):
    def absent(name, *arguments):
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr(_micro, "is_installed", lambda: False)
    monkeypatch.setattr("importlib.import_module", absent)
    path = tmp_path / "model.tflite"
    with pytest.raises(ImportError, match=r'tflite_micro.*\n.*"tfspecnorm\[edge\]"'):
        _micro.check_installed()
    with pytest.raises(ImportError, match=r'ai_edge_litert.*\n.*"tfspecnorm\[edge\]"'):
        tfspecnorm.export(model, path, "int8", samples)
    assert list(tmp_path.iterdir()) == []


def test_the_runner_stands_beside_its_caller():
    assert Path(_micro.__file__).with_name("_micro_runner.py").is_file()
