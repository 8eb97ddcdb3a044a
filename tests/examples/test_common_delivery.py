"""What a run leaves behind: curves, models, a checked file, a report."""

import dataclasses
import json
import struct
import zlib

import common
import keras
import numpy as np
import pytest
from common import datasets, delivery, plots

import tfspecnorm
from tfspecnorm.layers import SpectralNorm

HISTORY = {
    "learning_rate": [0.1, 0.05],
    "seconds": [1.5, 2.0],
    "loss": [2.0, 1.0],
    "accuracy": [0.5, 0.75],
    "val_loss": [2.5, 1.5],
    "val_accuracy": [0.25, 0.5],
    "sigma/conv1": [1.0, 1.5],
    "sigma/head": [2.0, 2.5],
}
FILES = ["curves.png", "folded.keras", "net.tflite", "report.json", "trained.keras"]


@pytest.fixture
def run(new_run):
    return new_run(normalization="spectral", dataset="noise", epochs=2)


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (30, 32, 32, 3), "uint8")
    labels = random.integers(0, 4, 30)
    return datasets.Images("noise", 4, pixels[:20], labels[:20], pixels[20:], labels[20:])


@pytest.fixture
def model():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            SpectralNorm(keras.layers.Conv2D(4, 5, strides=4, name="conv1"), name="wrapped"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(4, name="head"),
        ]
    )


def names(run):
    return sorted(path.name for path in run.folder.path.iterdir())


def test_results_are_measured_on_the_files(run, images, model):
    result = common.deliver(model, tfspecnorm.fold(model), images, HISTORY, run)
    assert names(run) == FILES
    tests = images.standardized_test_images()
    logits = model.predict(tests, verbose=0)
    assert result.accuracy_keras == np.mean(logits.argmax(axis=1) == images.test_labels)
    assert result.accuracy_keras == result.accuracy_folded == result.accuracy_litert
    assert 0 <= result.largest_difference <= 1e-4
    assert result.litert_bytes == (run.folder / "net.tflite").stat().st_size
    assert result.parameters == 5 * 5 * 3 * 4 + 4 + 4 * 4 + 4
    assert result.latency_ms > 0
    assert result.training_seconds == 3.5

    plain = keras.saving.load_model(run.folder / "folded.keras", compile=False)
    assert [type(layer).__name__ for layer in plain.layers][0] == "Conv2D"
    trained = keras.saving.load_model(run.folder / "trained.keras", compile=False)
    for loaded in (plain, trained):
        assert np.abs(loaded.predict(tests, verbose=0) - logits).max() < 1e-5


def test_report_says_the_same_as_the_table(run, images, model, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["examples/net.py", "--output", "a b"])
    result = common.deliver(model, tfspecnorm.fold(model), images, HISTORY, run)
    report = json.loads((run.folder / "report.json").read_text())
    assert report["result"] == vars(result)
    assert report["settings"]["seed"] == 0
    assert report["settings"]["normalization"] == "spectral"
    assert report["command"] == "python examples/net.py --output 'a b'"
    assert report["versions"]["keras"] == keras.__version__
    assert report["versions"]["tfspecnorm"] == tfspecnorm.__version__
    assert report["standardization"]["mean"] == images.mean.tolist()
    table = capsys.readouterr().out
    for text in (
        f"{result.parameters:,}",
        f"{result.accuracy_keras:.2%}",
        f"{result.largest_difference:.1e}",
        f"{result.litert_bytes:,} bytes",
        f"{result.latency_ms:.2f} ms",
    ):
        assert text in table


def test_folded_model_that_differs_is_refused(run, images, model):
    folded = tfspecnorm.fold(model)
    bias = folded.get_layer("head").bias
    bias.assign(bias + 2e-3)
    with pytest.raises(common.CheckError) as caught:
        common.deliver(model, folded, images, HISTORY, run)
    assert "the folded model differs from the trained model by 2.0e-03" in str(caught.value)
    assert "report.json" not in names(run)


@pytest.mark.parametrize("change", [1e-2, np.nan])
def test_file_that_differs_is_refused_and_removed(run, images, model, change, monkeypatch):
    export_litert = delivery.export_litert

    def changed(*arguments):
        report = export_litert(*arguments)
        return dataclasses.replace(report, largest_difference=change)

    monkeypatch.setattr(delivery, "export_litert", changed)
    with pytest.raises(common.CheckError) as caught:
        common.deliver(model, tfspecnorm.fold(model), images, HISTORY, run)
    assert str(caught.value).startswith("the LiteRT file differs from the trained model by ")
    assert names(run) == ["curves.png", "folded.keras", "trained.keras"]


def png_size(path):
    """Width and height of a PNG file, after checking every chunk's checksum."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    place, kinds = 8, []
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        kinds.append(kind)
        place += 12 + length
    assert kinds[-1] == b"IEND"
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize("epochs", [1, 2])
def test_curves_are_a_whole_picture(tmp_path, epochs):
    history = {name: values[:epochs] for name, values in HISTORY.items()}
    plots.plot_curves(history, "a title", tmp_path / "curves.png")
    width, height = png_size(tmp_path / "curves.png")
    assert width >= 1200
    assert height >= 400


def test_curves_show_the_history(monkeypatch, tmp_path):
    figures = []

    class Figure(plots.Figure):
        def savefig(self, *arguments, **options):
            figures.append(self)
            super().savefig(*arguments, **options)

    monkeypatch.setattr(plots, "Figure", Figure)
    plots.plot_curves(HISTORY, "a title", tmp_path / "curves.png")
    drawn = [
        {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        for axes in figures[0].axes
    ]
    assert drawn == [
        {"training": [2.0, 1.0], "test": [2.5, 1.5]},
        {"training": [0.5, 0.75], "test": [0.25, 0.5]},
        {"conv1": [1.0, 1.5], "head": [2.0, 2.5]},
    ]
    assert all(list(line.get_xdata()) == [1, 2] for axes in figures[0].axes for line in axes.lines)
