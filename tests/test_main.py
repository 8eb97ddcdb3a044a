"""The command line from the words to the exit code."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

pytest.importorskip("rich")
from tfspecnorm.__main__ import main


@pytest.fixture
def saved(tmp_path):
    inputs = [keras.Input((6, 6, 2)), layers.Conv2D(3, 3, name="first"), layers.Flatten()]
    model = keras.Sequential([*inputs, layers.Dense(2, name="second")])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_table(saved, capsys):
    assert main(["report", str(saved)]) == 0
    printed = capsys.readouterr()
    assert "first" in printed.out
    assert "second" in printed.out
    assert printed.err == ""


def test_json_and_picture(saved, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert main(["report", str(saved), "--json", "--plot", str(tmp_path / "out.png")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["layer"] for row in report["kernels"]] == ["first", "second"]
    assert (tmp_path / "out.png").exists()


def failing(capsys, *words):
    """The one line that a wrong use prints."""
    assert main([str(word) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_wrong_uses(saved, capsys, tmp_path):
    assert "no file" in failing(capsys, "report", tmp_path / "none.keras")
    corrupt = tmp_path / "corrupt.keras"
    corrupt.write_bytes(saved.read_bytes()[:500])
    assert "corrupt.keras holds no model" in failing(capsys, "report", corrupt)
    empty = tmp_path / "empty.h5"
    empty.touch()
    assert "empty.h5 holds no model" in failing(capsys, "report", empty, "--trust")
    assert "required" in failing(capsys)
    assert "unrecognized" in failing(capsys, "report", saved, "--depth")
    assert "invalid choice" in failing(capsys, "measure", saved)
    assert "positive integers" in failing(capsys, "report", saved, "--input-shape", "6,x")
    assert "`input_shape` must fit" in failing(capsys, "report", saved, "--input-shape", "6,7,2")


def test_models_that_cannot_be_measured(capsys, tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((3,)), layers.ReLU()]).save(path)
    assert "at least one matrix" in failing(capsys, "report", path)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.layers[0].kernel.assign(np.full((3, 2), np.nan))
    model.save(path)
    assert "finite weights" in failing(capsys, "report", path)


def test_unwritable_picture_leaves_nothing(saved, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    words = ["report", saved, "--plot"]
    assert "missing" in failing(capsys, *words, tmp_path / "missing" / "out.png")
    assert "cannot write" in failing(capsys, *words, tmp_path / "out.nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_as_a_process_it_prints_its_own_lines_only(saved, tmp_path):
    variables = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }

    def run(*words):
        command = [sys.executable, "-m", "tfspecnorm", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300)

    result = run("report", saved, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["kernels"]
    assert result.stderr == ""
    result = run("report", tmp_path / "none.keras")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
