"""Damaged LiteRT files are named in one line, whatever reads them, and endless requests refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfspecnorm.__main__
from tests import tools
from tfspecnorm import edge
from tfspecnorm.edge import _damage, inspection

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
pytest.importorskip("ai_edge_litert")

SAVED = Path(__file__).parents[2] / "savedmodels"
INT8, FLOAT = (
    SAVED / "small_cnn-spectral-int8.tflite",
    SAVED / "mobilenet_v2-spectral-float32.tflite",
)


def mutated(path, seed):
    """The bytes of a file of which a few are others, half of them in its tables."""
    random = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for number in range(random.integers(1, 9)):
        place = random.integers(1500) if number % 2 else random.integers(len(data))
        data[place] = random.integers(256)
    return bytes(data)


def without_probe(monkeypatch):
    """A process for each file takes long; these files do not end theirs."""
    monkeypatch.setattr(inspection, "check_runs", lambda path: None)


@pytest.mark.parametrize("whole", [INT8, FLOAT], ids=["int8", "float32"])
def test_mutated_files_are_read_or_named(whole, tmp_path, monkeypatch):
    without_probe(monkeypatch)
    path, refused = tmp_path / "model.tflite", 0
    for seed in range(40):
        path.write_bytes(mutated(whole, seed))
        try:
            edge.inspect(path, micro=False, runs=1)
        except ValueError as error:
            assert str(error).startswith("Argument `path` must be")
            refused += 1
    assert 0 < refused < 40


def named(data):
    """A file with the name of a tensor that is no text."""
    place = data.index(b"Identity")
    return data[:place] + b"\xff" + data[place + 1 :]


def test_name_that_is_no_text(tmp_path, monkeypatch, capsys):
    without_probe(monkeypatch)
    path = tmp_path / "model.tflite"
    path.write_bytes(named(INT8.read_bytes()))
    with pytest.raises(ValueError, match=r"`path` must be a whole LiteRT file.*model\.tflite"):
        edge.inspect(path)
    assert tfspecnorm.__main__.main(["inspect", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tfspecnorm: error: Argument `path` must be a whole LiteRT file")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("error", [KeyError(200), IndexError(), MemoryError(), TypeError("none")])
def test_whatever_a_reader_raises(error, monkeypatch):
    def read(*arguments, **options):
        raise error

    without_probe(monkeypatch)
    monkeypatch.setattr(inspection.litert, "open_file", read)
    with pytest.raises(ValueError, match="`path` must be a whole LiteRT file"):
        edge.inspect(INT8)


def test_file_on_which_native_code_ends_the_process(tmp_path, monkeypatch):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(ValueError, match="`path` must be a file that LiteRT can run.*ends the"):
        edge.inspect(INT8)


def test_file_that_does_not_end(monkeypatch):
    def endless(words, **options):
        raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(_damage.subprocess, "run", endless)
    with pytest.raises(ValueError, match="`path` must be.*which did not end within"):
        edge.inspect(INT8)


def test_input_that_no_memory_holds(monkeypatch):
    without_probe(monkeypatch)
    monkeypatch.setattr(_damage, "_LARGEST_SAMPLE", 700)
    with pytest.raises(ValueError, match="`path` must be.*an input has the shape"):
        edge.inspect(INT8)


def test_the_probe_takes_a_good_file():
    _damage.check_runs(INT8)


@pytest.mark.parametrize(("argument", "most"), [("runs", 1_000_000), ("threads", 1024)])
def test_numbers_without_end(argument, most, capsys):
    for value in (10**30, most + 1, 0, "3", 2.5, True):
        with pytest.raises(
            ValueError, match=f"`{argument}` must be a positive integer of at most {most}"
        ):
            edge.inspect(INT8, **{argument: value})
    assert tfspecnorm.__main__.main(["inspect", str(INT8), f"--{argument}", str(10**30)]) == 2
    assert f"`{argument}` must be a positive integer of at most {most}" in capsys.readouterr().err


@pytest.mark.parametrize("micro", ["no", 1, []])
def test_flag(micro):
    with pytest.raises(ValueError, match="`micro` must be `True`, `False` or `None`"):
        edge.inspect(INT8, micro=micro)
