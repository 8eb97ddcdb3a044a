"""Every example with every normalization, from the command line to its files."""

import argparse
import csv
import importlib
import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

pytest.importorskip("PIL", reason="the examples are not installed")
import common

from tests.examples.conftest import OPTIONS, ROOT
from tfspecnorm.models import normalizations

TENSORFLOW = keras.backend.backend() == "tensorflow"
CLASSIFIERS = ("vgg7", "densenet_bc", "mobilenet_v2", "small_cnn", "weight_norm_resnet")
# One of each runs on every backend; all of them, which take minutes, on TensorFlow.
ONE_OF_EACH = {
    "vgg7": "spectral",
    "densenet_bc": "mean-spectral",
    "mobilenet_v2": "scaled-spectral",
    "small_cnn": "bidirectional",
    "weight_norm_resnet": "weight",
    "dcgan": "bidirectional-scaled",
}
# The scripts differ in the network alone; VGG7 has tests of its own on TensorFlow.
QUICK = ("small_cnn",)


def pairs(*names):
    found = []
    for name in names:
        for normalization in normalizations.NAMES if TENSORFLOW else [ONE_OF_EACH[name]]:
            quick = normalization == ONE_OF_EACH[name] and name in QUICK
            marks = () if quick else pytest.mark.slow
            identifier = f"{name}-{normalization}"
            found.append(pytest.param(name, normalization, marks=marks, id=identifier))
    return found


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("name", "normalization"), pairs(*CLASSIFIERS))
def test_classifier(name, normalization, run, tmp_path):
    script = importlib.import_module(name)
    options = ["--smoke", "--epochs", 2, "--normalization", normalization, "--output", tmp_path]
    if name == "weight_norm_resnet":
        options += ["--warm-up", 1]
    exit_code, output, error = run(script, *options)
    assert (exit_code, error) == (0, "")
    assert f"{name} on digits, normalization {normalization}, seed 0\n" in output
    litert = [f"{name}.tflite"] if TENSORFLOW else []
    assert names(tmp_path) == sorted(
        [
            *("curves.png", "folded.keras", "history.csv", "report.json", "trained.keras"),
            *("training.npz", "training.previous.npz", *litert),
        ]
    )
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    # Chance is log(10) = 2.3 with equal logits; a network that learns is not far above it.
    assert float(rows[-1]["loss"]) < 4
    result = json.loads((tmp_path / "report.json").read_text())["result"]
    assert result["accuracy_folded"] == pytest.approx(result["accuracy_keras"], abs=0.01)
    plain = keras.saving.load_model(tmp_path / "folded.keras", compile=False)
    assert not any(hasattr(layer, "effective_kernels") for layer in plain.layers)


@pytest.mark.parametrize(("name", "normalization"), pairs("dcgan"))
def test_dcgan(name, normalization, run, tmp_path):
    script = importlib.import_module(name)
    options = ["--smoke", "--epochs", 2, "--width", 0.25, "--normalization", normalization]
    exit_code, output, error = run(script, *options, "--output", tmp_path)
    assert (exit_code, error) == (0, "")
    assert f"dcgan on digits, normalization {normalization}, seed 0\n" in output
    litert = ["generator.tflite"] if TENSORFLOW else []
    assert names(tmp_path) == sorted(
        [
            *("classifier.keras", "curves.png", "discriminator.keras", "gan.keras"),
            *("generator.keras", "history.csv", "report.json", "samples.png"),
            *("training.npz", "training.previous.npz", *litert),
        ]
    )
    report = json.loads((tmp_path / "report.json").read_text())
    for when in ("untrained", "trained"):
        for score in report[when].values():
            assert score["extractor"] == "classifier"
            assert score["generated_samples"] == 64
            assert np.isfinite(score["value"])
    assert report["trained"]["frechet_distance/classifier"]["real_samples"] == 512
    generator = keras.saving.load_model(tmp_path / "generator.keras", compile=False)
    images = generator.predict(np.random.default_rng(0).standard_normal((4, 128)), verbose=0)
    assert images.shape == (4, 16, 16, 1)
    assert np.abs(images).max() <= 1


def test_files_larger_than_allowed_are_one_line(run, tmp_path):
    """As on a full disk: the system refuses to write."""
    resource = pytest.importorskip("resource")
    script = importlib.import_module("small_cnn")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        exit_code, _, error = run(script, "--smoke", "--epochs", 1, "--output", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert exit_code == 2
    assert error.startswith("small_cnn.py: error: File too large")
    assert error.count("\n") == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("vgg7", ["--image-size", "16"], "at least 32 each"),
        ("dcgan", ["--image-size", "20"], "Argument `size` must be"),
        ("dcgan", ["--dataset", "patches", "--image-size", "128"], "must be at most 80"),
        ("dcgan", ["--average-momentum", "1"], "--average-momentum: must be a number in [0, 1)"),
        ("dcgan", ["--r1", "-1"], "argument --r1: must be a finite number that is not negative"),
        ("dcgan", ["--samples", "19"], "argument --samples: must be an integer of at least 20"),
        ("small_cnn", ["--devices", "3"], "argument --devices: applies to --strategy mirrored"),
        ("weight_norm_resnet", ["--depth", "17", "--warm-up", "1"], "Argument `depth`"),
        ("weight_norm_resnet", ["--warm-up", "30"], "argument --warm-up: must be less"),
        ("small_cnn", ["--strategy", "multiworker"], "environment variable TF_CONFIG"),
        ("dcgan", ["--strategy", "multiworker"], "environment variable TF_CONFIG"),
    ],
)
def test_mistakes_are_one_line(name, arguments, message, run, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    script = importlib.import_module(name)
    smoke = [] if "--depth" in arguments else ["--smoke"]
    exit_code, _, error = run(script, *smoke, "--output", tmp_path, *arguments)
    assert exit_code == 2
    assert error.startswith(f"{name}.py: error: ")
    if TENSORFLOW or "multiworker" not in arguments:
        assert message in error
    assert error.count("\n") == 1
    assert names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="TensorBoard's files are written by TensorFlow")
def test_tensorboard_files_on_request(run, tmp_path):
    script = importlib.import_module("small_cnn")
    arguments = ["--smoke", "--epochs", 1, "--tensorboard", "--output", tmp_path]
    assert run(script, *arguments)[0] == 0
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["train", "validation"]


@pytest.mark.slow
def test_killed_gan_goes_on_with_the_same_numbers(run, start, tmp_path):
    script = importlib.import_module("dcgan")
    options = ["--smoke", "--epochs", 3, "--width", 0.25]
    assert run(script, *options, "--output", tmp_path / "whole")[0] == 0
    killed = tmp_path / "killed"
    process = start("dcgan.py", *options, "--output", killed)
    deadline = time.monotonic() + 240
    while not (killed / "training.npz").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert run(script, *options, "--output", killed)[0] == 0
    tables = []
    for folder in (tmp_path / "whole", killed):
        with (folder / "history.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    whole, resumed = tables
    assert [row["epoch"] for row in resumed] == ["1", "2", "3"]
    for column in ("generator_loss", "discriminator_loss", "real_logits"):
        values, wanted = ([float(row[column]) for row in table] for table in (resumed, whole))
        assert np.allclose(values, wanted, rtol=1e-2, atol=1e-3), column


def test_what_a_network_without_labels_is_measured_by(new_run):
    from common import generative

    run = new_run(extractor="classifier", classifier=None)
    images = argparse.Namespace(name="stl10", classes=0)
    with pytest.raises(common.UsageError) as caught:
        generative._extractor(run, argparse.Namespace(**OPTIONS, extractor="classifier"), images)
    assert "a classifier needs a data set with labels" in str(caught.value)
    options = argparse.Namespace(**OPTIONS, extractor="inception_v3", classifier="one.keras")
    with pytest.raises(common.UsageError) as caught:
        generative._extractor(run, options, images)
    assert "argument --classifier: is not used" in str(caught.value)


def test_unknown_backend_is_one_line(tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "small_cnn.py", "--output", tmp_path],
        env=os.environ | {"KERAS_BACKEND": "theano"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "small_cnn.py: error: KERAS_BACKEND must be tensorflow, jax or torch. Received: theano\n"
    )


def test_restart_is_for_a_command_that_is_right(run, tmp_path):
    script = importlib.import_module("vgg7")
    for name in ("training.npz", "photo.png"):
        (tmp_path / name).write_bytes(b"mine")
    arguments = ["--smoke", "--restart", "--image-size", 8, "--output", tmp_path]
    assert run(script, *arguments)[0] == 2
    assert names(tmp_path) == ["photo.png", "training.npz"]
