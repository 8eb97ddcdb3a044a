"""What a file tells without its model; C arrays; the forms of a report."""

import dataclasses
import json
import math
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import edge

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
pytest.importorskip("ai_edge_litert")

KINDS = [None, "float16", "dynamic", "int8"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind, of layers that are large enough to be quantized, and its report."""
    keras.utils.set_random_seed(0)
    parts = [layers.Dense(64, activation="relu"), layers.Dense(64), layers.Softmax()]
    model = keras.Sequential([keras.Input((64,)), *parts])
    for number, layer in enumerate(model.layers[:2]):
        # The file leaves biases out that are zero, and has equal ones once.
        layer.bias.assign(tools.random(64, seed=number))
    samples = tools.random(40, 64)
    folder = tmp_path_factory.mktemp("files")
    return {
        kind: (
            folder / f"{kind}.tflite",
            tfspecnorm.export(model, folder / f"{kind}.tflite", kind, samples),
        )
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_inspecting_finds_what_exporting_said(files, kind):
    path, exported = files[kind]
    found = edge.inspect(path, runs=3)
    same = ("quantize", "operators", "activations", "inputs", "outputs", "file_bytes", "format")
    for name in (*same, "parameters"):
        assert getattr(found, name) == getattr(exported, name), name
    assert found.largest_difference is None
    assert found.samples == 0
    assert found.runs == 3
    assert (found.micro is None) == (kind != "int8")
    if kind == "int8":
        assert found.micro.arena_bytes == exported.micro.arena_bytes


@pytest.mark.parametrize(
    "content",
    [b"", b"TFL", b"not a LiteRT file at all", b"\x1c\0\0\0TFL3" + b"\xff" * 40, "truncated"],
)
def test_files_that_are_none(files, content, tmp_path):
    path = tmp_path / "model.tflite"
    if content == "truncated":
        whole = files["int8"][0].read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"`path` must be a whole LiteRT file.*model\.tflite"):
        edge.inspect(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        edge.inspect(tmp_path / "none.tflite")
    with pytest.raises(FileNotFoundError):
        edge.write_c_array(tmp_path / "none.tflite", tmp_path / "none.h")


def test_forms_of_a_report(files):
    report = files["int8"][1]
    data = json.loads(report.to_json())
    assert data["operators"] == report.operators
    assert data["micro"]["arena_bytes"] == report.micro.arena_bytes
    assert data["accuracy_drop"] is None
    assert data["versions"]["tfspecnorm"] == tfspecnorm.__version__
    text = report.to_markdown()
    assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines())
    table = report.table()
    for value in (
        f"{report.file_bytes:,} bytes",
        f"{report.micro.arena_bytes:,} bytes",
        f"{report.parameters:,}",
        f"{report.latency_ms:.3f} ms",
        "2 FULLY_CONNECTED",
    ):
        assert value in text
        assert any(value in cell for cell in table.columns[1]._cells)


def test_report_of_equal_outputs_is_still_json(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    report = tfspecnorm.export(model, tmp_path / "model.keras")
    assert report.signal_to_noise_db == math.inf
    assert json.loads(report.to_json())["signal_to_noise_db"] is None
    assert "inf dB" in report.to_markdown()


def test_undefined_numbers_are_null(files):
    report = dataclasses.replace(files["int8"][1], largest_difference=math.nan)
    assert json.loads(report.to_json())["largest_difference"] is None
    micro = dataclasses.replace(report.micro, arena_bytes=None)
    assert "| arena (RAM) | – |" in dataclasses.replace(report, micro=micro).to_markdown()


def test_tensor_of_a_file():
    info = edge.TensorInfo("x", (1, 3), "int8", 0.25, 10)
    numbers = np.array([[-100.0, 0.1, 0.5]])
    np.testing.assert_array_equal(info.quantized(numbers), [[-128, 10, 12]])
    np.testing.assert_array_equal(info.floating([[-128, 10, 12]]), [[-34.5, 0, 0.5]])
    plain = edge.TensorInfo("x", (1, 3), "float32")
    np.testing.assert_array_equal(plain.quantized(numbers), numbers.astype("float32"))


def test_c_array_holds_the_file(files, tmp_path):
    path = files["int8"][0]
    edge.write_c_array(path, tmp_path / "model.h", "digits")
    text = (tmp_path / "model.h").read_text()
    numbers = re.search(r"digits\[\] = \{(.*?)\};", text, re.DOTALL)[1]
    assert bytes(int(part, 16) for part in numbers.replace(",", " ").split()) == path.read_bytes()
    assert f"digits_size = {path.stat().st_size};" in text


@pytest.mark.parametrize(
    ("compiler", "standard", "ending"), [("cc", "c11", "c"), ("c++", "c++17", "cpp")]
)
def test_c_array_compiles(files, compiler, standard, ending, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip("needs a compiler")
    path = files["int8"][0]
    edge.write_c_array(path, tmp_path / "model.h")
    (tmp_path / f"main.{ending}").write_text(
        '#include <stdint.h>\n#include <stdio.h>\n#include "model.h"\n'
        "int main(void) { fwrite(int8, 1, int8_size, stdout);\n"
        "  return (uintptr_t)int8 % 16 || sizeof int8 != int8_size; }\n"
    )
    words = [compiler, f"-std={standard}", "-Wall", "-Werror", f"main.{ending}", "-o", "main"]
    subprocess.run(words, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True)
    assert done.stdout == path.read_bytes()


def test_names_of_c_arrays(files, tmp_path):
    path = files["int8"][0]
    for name in ("3 digits", "a-b", "", "é", "float", "class"):
        with pytest.raises(ValueError, match="`name` must be letters, digits and underscores"):
            edge.write_c_array(path, tmp_path / "model.h", name)
    assert list(tmp_path.iterdir()) == []
    copy = tmp_path / "1-float.v2.tflite"
    copy.write_bytes(path.read_bytes())
    edge.write_c_array(copy, tmp_path / "model.h")
    assert "model_1_float_v2_size" in (tmp_path / "model.h").read_text()
    (tmp_path / "float.tflite").write_bytes(path.read_bytes())
    edge.write_c_array(tmp_path / "float.tflite", tmp_path / "model.h")
    assert "model_float[]" in (tmp_path / "model.h").read_text()
    with pytest.raises(ValueError, match="`header` must be another file"):
        edge.write_c_array(copy, copy)
    assert copy.read_bytes() == path.read_bytes()
