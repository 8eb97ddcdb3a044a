"""The kept models: they load, and have the accuracy that they had."""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import tools

pytest.importorskip("sklearn")
from common import edge_table
from common.datasets import load_images

FOLDER = Path(__file__).parents[1] / "savedmodels"
RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
KEPT = [entry for entry in RESULTS if entry["seed"] == 0 and entry["network"] != "vgg7-full"]
NETWORKS = {"vgg7", "small_cnn", "mobilenet_v2", "densenet_bc"}
NORMALIZATIONS = {"none", "batch", "spectral", "mean-spectral", "weight"}
ENDINGS = (".keras", "-float32.tflite", "-int8.tflite")
# What another processor may round to the other side.
ONE_IMAGE = 1.01 / 360


def name_of(entry):
    return f"{entry['network']}-{entry['normalization']}"


@functools.cache
def digits(size, channels):
    images = load_images("digits", size=size, repeat_grey=channels == 3)
    return images.standardized_test_images(), images.test_labels


def data_of(entry):
    ((_, height, _, channels),) = [part["shape"] for part in entry["float32"]["inputs"]]
    return digits(height, channels)


def accuracy(outputs, labels):
    return np.mean(outputs.argmax(axis=-1) == labels)


@pytest.mark.parametrize("entry", KEPT, ids=name_of)
def test_keras_file(entry):
    path = FOLDER / f"{name_of(entry)}.keras"
    model = keras.saving.load_model(path, compile=False)
    samples, labels = data_of(entry)
    found = accuracy(tools.array(model(samples, training=False)), labels)
    assert found == pytest.approx(entry["float32"]["accuracy_model"], abs=ONE_IMAGE)
    wrapped = [layer for layer in model.layers if type(layer).__module__.startswith("tfspecnorm")]
    assert bool(wrapped) == (entry["normalization"] not in ("none", "batch"))


@pytest.mark.parametrize("kind", ["float32", "int8"])
@pytest.mark.parametrize("entry", KEPT, ids=name_of)
def test_litert_file(entry, kind):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    path = FOLDER / f"{name_of(entry)}-{kind}.tflite"
    interpreter = litert.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    samples, labels = data_of(entry)
    if kind == "int8":
        scale, zero_point = given["quantization"]
        samples = np.clip(np.rint(samples / scale) + zero_point, -128, 127).astype("int8")
    outputs = []
    for sample in samples:
        interpreter.set_tensor(given["index"], sample[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(made["index"])[0])
    found = accuracy(np.array(outputs), labels)
    assert found == pytest.approx(entry[kind]["accuracy_file"], abs=ONE_IMAGE)
    assert path.stat().st_size == entry[kind]["file_bytes"]


def test_what_is_kept():
    assert {(entry["network"], entry["normalization"]) for entry in KEPT} == {
        (network, normalization) for network in NETWORKS for normalization in NORMALIZATIONS
    }
    files = [FOLDER / f"{name_of(entry)}{ending}" for entry in KEPT for ending in ENDINGS]
    assert {path.name for path in FOLDER.glob("*.*") if path.is_file()} == {
        *(path.name for path in files),
        *("README.md", "results.json"),
    }
    assert max(path.stat().st_size for path in files) <= 300_000
    assert sum(path.stat().st_size for path in files) <= 10_000_000
    assert max(entry["trained_parameters"] for entry in KEPT) <= 60_000


def test_page_is_that_of_the_results():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == edge_table.page(RESULTS)


def test_what_int8_has_to_keep():
    """What the page says, as limits: accuracy, agreement of both interpreters, memory."""
    for entry in RESULTS:
        assert entry["int8"]["activations"] == ["int8"], name_of(entry)
        assert entry["int8"]["micro"]["supported"], name_of(entry)
        assert entry["int8"]["micro"]["agreement"] >= 0.99, name_of(entry)
        assert entry["int8"]["accuracy_model"] >= 0.97, name_of(entry)
        assert edge_table.loss(entry) <= 1.0, name_of(entry)
    (full,) = [entry for entry in RESULTS if entry["network"] == "vgg7-full"]
    assert full["float32"]["parameters"] == 437_162
    assert full["int8"]["file_bytes"] <= 500_000
    assert full["int8"]["micro"]["arena_bytes"] <= 128 * 1024
