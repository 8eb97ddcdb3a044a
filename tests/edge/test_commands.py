"""The commands `fold`, `export` and `inspect`, from the words to the exit code."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests import tools
from tests.edge.conftest import SHAPE
from tfspecnorm.__main__ import main

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
pytest.importorskip("rich")
pytest.importorskip("ai_edge_litert")


@pytest.fixture
def folder(model, samples, tmp_path):
    """A saved model, samples, and samples with the model's own answers as labels."""
    model.save(tmp_path / "model.keras")
    labels = tools.array(model(samples)).argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=samples)
    np.savez(tmp_path / "test.npz", x=samples, y=labels)
    return tmp_path


def failing(capsys, *words):
    """The one line that a wrong use prints."""
    assert main([str(word) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("tfspecnorm")]
    return line


def test_export_int8(folder, capsys):
    words = ["export", folder / "model.keras", folder / "out.tflite", "--quantize", "int8"]
    words += ["--calibration", folder / "data.npz", "--evaluate", folder / "test.npz"]
    assert main([*map(str, words), "--json", "--runs", "5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["activations"] == ["int8"]
    assert report["accuracy_model"] == 1.0
    assert report["accuracy_file"] > 0.9
    assert report["micro"]["supported"]
    assert report["runs"] == 5
    assert main(["inspect", str(folder / "out.tflite"), "--no-micro", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| types between operators | int8 |" in printed
    assert "arena" not in printed


def test_fold_prints_what_it_folded(folder, model, samples, capsys):
    words = ["fold", folder / "model.keras", folder / "plain.keras"]
    assert main([*map(str, words), "--batch-norm"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "first (Conv2D): SpectralNorm in kernel",
        "second (DepthwiseConv2D): MeanSpectralNorm in kernel",
        "head (Dense): WeightNorm in kernel",
        f"3 layers folded; wrote {folder / 'plain.keras'}",
    ]
    loaded = keras.saving.load_model(folder / "plain.keras", compile=False)
    expected = tools.array(model(samples))
    np.testing.assert_allclose(tools.array(loaded(samples)), expected, atol=1e-5)


def test_table_and_c_array(folder, capsys):
    words = ["export", folder / "model.keras", folder / "out.tflite"]
    assert main([*map(str, words)]) == 0
    assert "signal-to-noise ratio" in capsys.readouterr().out
    words = ["inspect", folder / "out.tflite", "--c-array", folder / "out.h"]
    assert main([*map(str, words)]) == 0
    assert "CONV_2D" in capsys.readouterr().out
    assert "unsigned char out[]" in (folder / "out.h").read_text()


def test_wrong_uses(folder, capsys):
    before = sorted(folder.iterdir())
    model, out = folder / "model.keras", folder / "out.tflite"
    assert "invalid choice" in failing(capsys, "export", model, out, "--quantize", "int4")
    assert "`calibration` must be given" in failing(
        capsys, "export", model, out, "--quantize", "int8"
    )
    none = folder / "none.npz"
    assert "no file" in failing(capsys, "export", model, out, "--evaluate", none)
    assert "holds no arrays" in failing(capsys, "export", model, out, "--evaluate", model)
    assert "must end in one of" in failing(capsys, "export", model, folder / "out.bin")
    assert "folder that exists" in failing(capsys, "export", model, folder / "no" / "out.tflite")
    assert "`runs` must be" in failing(capsys, "export", model, out, "--runs", "0")
    assert "not allowed with" in failing(capsys, "inspect", out, "--json", "--markdown")
    assert "no file" in failing(capsys, "inspect", out)
    assert "whole LiteRT file" in failing(capsys, "inspect", model)
    assert "must end in .keras" in failing(capsys, "fold", model, out)
    assert "no file" in failing(capsys, "fold", folder / "none.keras", folder / "plain.keras")
    assert "`output`" in failing(capsys, "fold", model, folder / "no" / "plain.keras")
    assert sorted(folder.iterdir()) == before


def test_arrays_that_do_not_fit(folder, capsys):
    model, out = folder / "model.keras", folder / "out.tflite"
    cases = {
        "samples of shape": {"x": np.zeros((4, 3, 3, 3))},
        "at least one sample": {"x": np.zeros((0, *SHAPE))},
        "must hold samples as an array x": {"y": np.zeros(3)},
        "name every input": {"pictures": np.zeros((3, *SHAPE))},
        "holds no arrays": {"x": np.array([{}], object)},
    }
    for message, arrays in cases.items():
        np.savez(folder / "bad.npz", **arrays)
        line = failing(capsys, "export", model, out, "--evaluate", folder / "bad.npz")
        assert message in line
    assert not out.exists()


@pytest.mark.slow
def test_as_a_process_it_prints_its_own_lines_only(folder):
    variables = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    words = ["export", "model.keras", "out.tflite", "--quantize", "int8", "--json"]
    words += ["--calibration", "data.npz"]
    command = [sys.executable, "-m", "tfspecnorm", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=variables, timeout=300, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["quantize"] == "int8"
    assert done.stderr == ""
