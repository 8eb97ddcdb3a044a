"""The claim on drift: its measures against NumPy, what it leaves as it was, and its verdicts."""

import keras
import numpy as np
import pytest

from benchmarks.claims import classifiers, drift, drift_measures, drift_numbers, drift_recorder
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split

ROWS = ("channels", "layer", "weights", "zeros", "variance", "eigenvalues")


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(0)
    images = random.standard_normal((24, 32, 32, 1), "float32")
    labels = random.integers(0, 3, 24).astype("int32")
    return Split(*[(images, labels)] * 3, (32, 32, 1), 3)


def model_of(split, normalization, slope=0.0):
    keras.utils.set_random_seed(0)
    protocol = classifiers.protocol_of(Setting("smoke"), "vgg7")
    return classifiers.compiled(
        protocol, normalization, split, "digits", 0, negative_slope=slope, dropout=0.0
    )


def test_the_covariance_is_that_of_numpy():
    gradients = np.random.default_rng(0).standard_normal((8, 30)) * np.arange(30) + 1
    found = drift_measures.covariance(gradients)
    expected = np.cov(gradients, rowvar=False)
    assert found["variance"] == pytest.approx(np.diag(expected).mean())
    values = np.linalg.eigvalsh(expected)[::-1]
    np.testing.assert_allclose(found["eigenvalues"][:7], values[:7])
    assert found["top_share"] == pytest.approx(values[0] / values.sum())
    assert found["mean_square"] == pytest.approx(np.mean(gradients.mean(axis=0) ** 2))


def test_equal_gradients_have_no_covariance():
    found = drift_measures.covariance(np.ones((4, 6), "float32"))
    assert found["variance"] == found["top_share"] == 0.0
    assert found["mean_square"] == 1.0


def test_gradients_that_are_no_numbers_are_no_error():
    found = drift_measures.covariance(np.full((3, 4), np.nan))
    assert np.isnan(found["variance"]) and np.isnan(found["eigenvalues"]).all()


def test_zero_share():
    assert drift_measures.zero_share(np.array([[0.0, 1e-30], [-1.0, 0.0]])) == 0.5
    assert drift_measures.zero_share(np.ones(3)) == 0.0


def test_drift_of_channels():
    start = np.random.default_rng(0).standard_normal((50, 4, 4, 2))
    deviation = np.sqrt(np.mean([start[..., 0].var(), start[..., 1].var()]))
    # Means that cancel in the layer do not in its channels.
    found = drift_measures.channel_drift(start + [3.0, -3.0], start)
    assert found == pytest.approx(3 / deviation)
    assert drift_measures.channel_drift(start, start) == 0.0


@pytest.mark.parametrize("normalization", ["batch", "mean-spectral"])
def test_gradients_are_those_of_training_and_change_nothing(split, normalization):
    model = model_of(split, normalization)
    images, labels = split.training
    before = [value.copy() for value in model.get_weights()]
    gradients = drift_recorder.Gradients(model)
    batches = [(images[:8], labels[:8]), (images[8:16], labels[8:16])]
    found = gradients([*batches, batches[0]])
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert list(found) == [*(f"conv{number}" for number in range(1, 7)), "head"]
    for rows in found.values():
        assert rows.shape[0] == 3
        np.testing.assert_allclose(rows[0], rows[2], rtol=1e-5, atol=1e-7)
        assert not np.array_equal(rows[0], rows[1])
    # The gradient of the head by hand: features times (probabilities - labels).
    features = keras.Model(model.input, model.get_layer("flatten").output)
    values = keras.ops.convert_to_numpy(features(images[:8], training=True)).astype("float64")
    head = model.get_layer("head")
    logits = values @ keras.ops.convert_to_numpy(head.kernel) + keras.ops.convert_to_numpy(
        head.bias
    )
    errors = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(3)[labels[:8]]
    np.testing.assert_allclose(found["head"][0], (values.T @ errors / 8).ravel(), atol=1e-5)


def test_kernels_in_use_have_norm_one_under_spectral_normalization(split):
    model = model_of(split, "spectral")
    for name, kernel in drift_measures.used_kernels(model).items():
        matrix = keras.ops.convert_to_numpy(kernel).reshape(-1, kernel.shape[-1])
        if name != "head":
            assert np.linalg.norm(matrix, 2) == pytest.approx(1, abs=1e-3)
    assert drift_measures.kernels(model).keys() == drift_measures.used_kernels(model).keys()


def test_pre_activations_are_the_outputs_of_the_convolutions(split):
    model = model_of(split, "none")
    found = drift_measures.pre_activations(model)(split.test[0][:2], training=False)
    assert sorted(found) == [f"conv{number}" for number in range(1, 7)]
    outputs = model.get_layer("conv1")(split.test[0][:2])
    np.testing.assert_allclose(found["conv1"], outputs, atol=1e-5)


def test_the_recorder_measures_before_and_after_every_epoch(split):
    model = model_of(split, "batch")
    protocol = classifiers.Protocol("vgg7", 32, 2, batch_size=8)
    recorder = drift_recorder.Recorder(split, protocol, 3)
    model.fit(*split.training, batch_size=8, epochs=2, verbose=0, callbacks=[recorder])
    figures = recorder.figures
    assert figures["moments"] == [0, 1, 2]
    for own in figures["activations"].values():
        assert own["channels"][0] == 0.0
        # In training mode batch normalization's outputs have the mean of its offsets.
        assert own["mean"][0] == pytest.approx(0, abs=1e-5)
    assert all(len(own["mean"]) == 3 for own in figures["kernels"].values())
    assert all(len(own["share"]) == 3 for own in figures["zeros"].values())
    assert all(len(own["variance"]) == 3 for own in figures["covariance"].values())
    values = keras.ops.convert_to_numpy(model.get_layer("conv3").kernel)
    assert figures["kernels"]["conv3"]["mean"][-1] == pytest.approx(values.mean(), abs=1e-6)


def figures_of(drifted, zero, size, noise):
    """Figures of two layers: means that move by so many deviations."""
    moved = {"mean": [1.0, 1 + noise + drifted], "deviation": [1.0, 1.0]}
    moved["channels"] = [0.0, drifted + noise]
    spectrum = {"variance": [1.0, size * (1 + noise)], "top_share": [0.1, 0.2]}
    spectrum["eigenvalues"] = [[1.0, 0.5], [size * (1 + noise), 0.1]]
    layers = {
        "activations": moved,
        "kernels": moved,
        "used": moved,
        "zeros": {"share": [0.0, zero + noise]},
        "covariance": spectrum,
    }
    figures = {kind: {"conv1": own, "conv2": own} for kind, own in layers.items()}
    return {**figures, "moments": [0, 1]}


def results_of(**numbers):
    """Results of three seeds of each normalization."""
    return {
        f"{name}-{seed}": {
            "options": {"normalization": name.replace("_", "-"), "slope": 0.0, "seed": seed},
            "figures": figures_of(*own, noise=0.001 * seed),
        }
        for name, own in numbers.items()
        for seed in range(3)
    }


def verdicts(results):
    return dict(zip(ROWS, (found.verdict for found in drift.findings(results)), strict=True))


def test_numbers_of_a_seed():
    figures = figures_of(drifted=2.0, zero=0.25, size=100.0, noise=0.0)
    found = {name: float(number(figures)) for name, (*_, number) in drift.MEASURES.items()}
    assert found["layer"] == found["channels"] == found["kernels"] == found["used"] == 2.0
    assert found["zeros"] == 25.0
    assert found["variance"] == found["eigenvalue"] == pytest.approx(2.0)
    assert found["share"] == pytest.approx(20.0)


def test_verdicts_when_the_claims_hold_and_when_not():
    results = results_of(
        spectral=(3.0, 0.4, 0.5), batch=(1.0, 0.2, 5.0), mean_spectral=(1.0, 0.4, 50.0)
    )
    found = verdicts(results)
    assert {found[name] for name in ("channels", "layer", "weights", "zeros")} == {"holds"}
    assert found["variance"] == "holds"
    assert found["eigenvalues"] == "partly"
    reverse = verdicts(
        results_of(spectral=(1.0, 0.1, 50.0), batch=(3.0, 0.2, 5.0), mean_spectral=(3.0, 0.2, 1.0))
    )
    assert reverse["channels"] == reverse["variance"] == reverse["zeros"] == "does not hold"


def test_nothing_and_a_part_measured(tmp_path):
    assert set(verdicts({}).values()) == {"not measured yet"}
    assert drift.details({}) == ""
    results = results_of(batch=(1.0, 0.2, 5.0))
    assert set(verdicts(results).values()) == {"not measured yet"}
    assert "| BN, ReLU | 1.001 ± 0.001 (3 seeds) |" in drift.details(results)
    drift.draw(results, tmp_path / "drift.png")
    assert (tmp_path / "drift.png").stat().st_size > 1000


def test_values_that_are_no_numbers_are_kept_apart():
    """A run whose loss diverged has `None` where a figure was not finite."""
    results = results_of(batch=(1.0, 0.2, 5.0))
    own = next(iter(results.values()))["figures"]
    own["activations"]["conv1"] = {"mean": [1.0, None], "deviation": [1.0, None]}
    own["activations"]["conv1"]["channels"] = [0.0, None]
    values = drift_numbers.collected(results, "layer")["batch", 0.0]
    assert len(values) == 2


def test_runs():
    small = drift.runs(Setting())
    assert len(small) == 18 and len({run.name for run in small}) == 18
    assert len(drift.runs(Setting("smoke"))) == 2
