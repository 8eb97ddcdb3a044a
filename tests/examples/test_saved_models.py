"""The script that makes the kept models: it trains, exports, tabulates, and goes on."""

import json

import keras
import pytest
import saved_models
from common import edge_table

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT files are written on TensorFlow", allow_module_level=True)
pytest.importorskip("tflite_micro")


def options(folder, *more):
    words = ["--smoke", "--networks", "small_cnn", "--normalizations", "batch", "spectral"]
    return [*words, "--output", folder / "kept", "--work", folder / "work", *more]


@pytest.mark.slow
def test_trains_exports_and_goes_on(run, tmp_path, monkeypatch):
    words = options(tmp_path, "--seeds", 1, "--no-full")
    exit_code, output, error = run(saved_models, *words)
    assert exit_code == 0, error
    kept = tmp_path / "kept"
    names = [
        f"small_cnn-{normalization}{ending}"
        for normalization in ("batch", "spectral")
        for ending in ("-float32.tflite", "-int8.tflite", ".keras")
    ]
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        [*names, "README.md", "results.json"]
    )
    results = json.loads((kept / "results.json").read_text())
    assert [entry["normalization"] for entry in results] == ["batch", "spectral"]
    for entry in results:
        assert entry["int8"]["activations"] == ["int8"]
        size = (kept / f"small_cnn-{entry['normalization']}-int8.tflite").stat().st_size
        assert entry["int8"]["file_bytes"] == size
    page = (kept / "README.md").read_text()
    assert page == edge_table.page(results)
    assert "Too few runs to tell." in page
    # Once more: nothing is trained again, and the page is the same.
    monkeypatch.setattr(saved_models.small_cnn, "main", None)
    exit_code, output, error = run(saved_models, *words)
    assert (exit_code, error) == (0, "")
    assert (kept / "README.md").read_text() == page


def entry(normalization, seed, drop, ratio):
    micro = {"arena_bytes": 1000, "agreement": 1.0}
    report = {
        "parameters": 10,
        "accuracy_model": 0.99,
        "accuracy_file": 0.99 - drop,
        "accuracy_drop": drop,
        "file_bytes": 100,
        "latency_ms": 1.0,
        "signal_to_noise_db": ratio,
        "micro": micro,
        "versions": {"python": "3"},
    }
    return {
        "network": "vgg7",
        "normalization": normalization,
        "seed": seed,
        "float32": report,
        "int8": report,
    }


def test_verdict_needs_more_than_the_spread():
    ratios = {"batch": (30.0, 31.0, 29.0), "spectral": (35.0, 36.1, 33.9)}
    entries = [
        entry(normalization, seed, 0.01 * seed, ratio)
        for normalization, values in ratios.items()
        for seed, ratio in enumerate(values)
    ]
    page = edge_table.page(entries)
    assert "spectral minus batch, loss of accuracy: +0.00 ± 0.00 points" in page
    assert "signal-to-noise ratio: +5.0 ± 0.2 dB (mean of 3 pairs" in page
    assert page.count("interval): a difference.") == 1
    assert page.count("interval): no difference.") == 1
    assert "| VGG7 | batch | 3 | 99.00 ± 0.00 | 1.00 ± 1.00 | 30.0 ± 1.0 | 100.00% |" in page


def test_wrong_options(run, tmp_path):
    exit_code, output, error = run(saved_models, "--networks", "vgg8")
    assert exit_code == 2
    assert len(error.splitlines()) == 1
    assert "invalid choice" in error
