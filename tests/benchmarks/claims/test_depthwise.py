"""The claims on depthwise-separable convolutions: norms and bounds, and their cost."""

import json

import keras
import numpy as np
import pytest

from benchmarks.claims import (
    depthwise,
    depthwise_bounds,
    depthwise_norms,
    depthwise_overhead,
    depthwise_tightness,
)
from benchmarks.claims.claim import Setting


def matrix(kernel, size, strides):
    """The matrix of Keras' own convolution of a single channel, column by column."""
    layer = keras.layers.DepthwiseConv2D(
        3, strides, padding="same", use_bias=False, dtype="float64"
    )
    layer.build((None, size, size, 1))
    layer.set_weights([kernel[:, :, None, None]])
    units = np.eye(size * size).reshape(-1, size, size, 1)
    return np.asarray(layer(units)).reshape(size * size, -1).T


@pytest.mark.parametrize(("size", "strides"), [(7, 1), (8, 2), (7, 2), (2, 1)])
def test_norms_are_those_of_the_matrix(size, strides):
    random = np.random.default_rng(0)
    kernels = random.standard_normal((3, 3, 5))
    given = depthwise_norms.Convolution(kernels, size, strides)
    found, residuals = given.norm(random)
    expected = [np.linalg.norm(matrix(kernels[..., k], size, strides), 2) for k in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert residuals.max() < 1e-3
    estimates = given.power_iteration(random, 500)
    np.testing.assert_allclose(estimates, expected, rtol=5e-3)
    assert np.all(estimates <= found * (1 + 1e-12))


def test_adjoint():
    random = np.random.default_rng(1)
    given = depthwise_norms.Convolution(random.standard_normal((3, 3, 2)), 9, 2)
    images, outputs = random.standard_normal((2, 9, 9)), random.standard_normal((2, 5, 5))
    assert np.sum(given(images) * outputs) == pytest.approx(np.sum(images * given.adjoint(outputs)))


def test_fourier_bound_is_the_norm_on_a_circle():
    kernel = np.random.default_rng(2).standard_normal((3, 3, 1))
    size = 6
    columns = []
    for unit in np.eye(size * size).reshape(-1, size, size):
        image = sum(
            kernel[row, column, 0] * np.roll(unit, (1 - row, 1 - column), (0, 1))
            for row in range(3)
            for column in range(3)
        )
        columns.append(image.ravel())
    expected = np.linalg.norm(np.array(columns), 2)
    assert depthwise_norms.fourier(kernel, size)[0] == pytest.approx(expected)


def test_many_filters_are_worked_on_in_parts():
    random = np.random.default_rng(3)
    kernels = random.standard_normal((3, 3, 70))
    found, _ = depthwise_norms.Convolution(kernels, 4).norm(random)
    assert found[69] == pytest.approx(np.linalg.norm(matrix(kernels[..., 69], 4, 1), 2))


def test_measured_bounds_lie_above_the_norm():
    run = next(run for run in depthwise_bounds.runs(Setting("smoke")) if "bound" in run.name)
    figures = depthwise.measure(Setting("smoke"), run)
    for bound in (depthwise_bounds.PAPER, depthwise_bounds.SMALLER, depthwise_bounds.PROJECT):
        assert np.all(np.array(figures[bound]) >= np.array(figures["norm"]) * (1 - 1e-12))


def bound(size, paper, smaller=1.0, norm=1.0):
    """Results of one size whose filters have these bounds, give or take a thousandth."""
    stretch = np.array([0.999, 1.0, 1.001])
    values = {
        depthwise_bounds.EXACT: norm,
        depthwise_bounds.ESTIMATE: norm,
        depthwise_bounds.PAPER: paper,
        depthwise_bounds.SMALLER: smaller,
        depthwise_bounds.PROJECT: smaller,
    }
    # The truth does not vary: ratios keep the spread of the bound.
    figures = {
        name: (value * (stretch if name == depthwise_bounds.PAPER else np.ones(3))).tolist()
        for name, value in values.items()
    }
    return {"options": {"part": "bound", "size": size, "filters": 3}, "figures": figures}


def test_findings_on_bounds():
    good = {"a": bound(7, 1.17), "b": bound(14, 1.05)}
    verdicts = [finding.verdict for finding in depthwise_tightness.findings(good)]
    assert verdicts == ["holds", "holds", "holds", "holds", "not measured yet"]
    bad = {"a": bound(7, 0.99, 1.1), "b": bound(14, 1.05, 1.1)}
    verdicts = [finding.verdict for finding in depthwise_tightness.findings(bad)]
    assert verdicts[:4] == ["does not hold"] * 4


@pytest.mark.parametrize(("strided", "verdict"), [(1.8, "holds"), (0.9, "does not hold")])
def test_finding_on_layers(strided, verdict):
    rows = [
        {"strides": strides, "norm": 1.0, **dict.fromkeys(_BOUNDS, value + 0.001 * number)}
        for strides, value in ((1, 1.03), (2, strided))
        for number in range(3)
    ]
    results = {
        "a": {"options": {"part": "layers", "kernels": "Glorot"}, "figures": {"layers": rows}}
    }
    assert depthwise_tightness.findings(results)[-1].verdict == verdict
    assert "| Glorot | 2 | 3 |" in depthwise_tightness.details(results)


_BOUNDS = (depthwise_bounds.PAPER, depthwise_bounds.SMALLER, depthwise_bounds.PROJECT)


def test_first_layer_of_a_kept_network():
    (layer,) = depthwise_bounds.of_layers("trained", 1)
    assert (layer["size"], layer["strides"], layer["channels"]) == (112, 1, 16)
    assert layer["norm"] <= layer[depthwise_bounds.PAPER] <= 1.01 * layer["norm"]


def test_ratios_are_copied_with_their_origin(tmp_path):
    figures = {
        "training step": {
            "none": {"ratio": 1.0},
            "SN": {"ratio": 1.5, "lower_quartile": 1.4, "upper_quartile": 1.6},
        },
        "memory": {"SN": {"ratio": 1.1}},
        "device": "some GPU",
    }
    origin = {"versions": {"keras": "3"}, "backend": "jax", "network": "vgg7", "batch": 4}
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"figures": figures, **origin}))
    time, memory = depthwise_overhead.copied(path)
    assert (time["ratio"], time["quartiles"]) == (1.5, [1.4, 1.6])
    assert (memory["kind"], memory["ratio"]) == ("memory", 1.1)
    for row in (time, memory):
        assert row.items() >= {**origin, "file": "speed.json", "device": "some GPU"}.items()
    assert depthwise_overhead.copied(tmp_path / "absent.json") == []


def overhead(lower, upper, channels):
    row = {"kind": "time", "contender": "SN", "ratio": lower, "quartiles": [lower, upper]}
    row |= {"network": "n", "batch": 1, "device": "CPU", "backend": "jax", "file": "f.json"}
    counts = {"one input for each layer": 10, "one channel vector for each layer": channels}
    figures = {"copied": [row], "stored numbers": {"32": counts}}
    return {"overhead": {"options": {"part": "overhead"}, "figures": figures}}


def test_findings_on_cost():
    good, bad = overhead(1.0, 1.1, 5), overhead(1.5, 1.7, 20)
    assert {finding.verdict for finding in depthwise_overhead.findings(good)} == {"holds"}
    assert {finding.verdict for finding in depthwise_overhead.findings(bad)} == {"does not hold"}


def test_stored_numbers_grow_with_the_image_only_if_inputs_are_kept():
    small, large = depthwise_overhead.stored(64), depthwise_overhead.stored(128)
    inputs, channels = small
    assert small[channels] == large[channels] < small[inputs] < large[inputs]


def test_without_results(tmp_path):
    assert {finding.verdict for finding in depthwise.findings({})} == {"not measured yet"}
    assert depthwise.details({}) == ""
    parts = [overhead(1.0, 1.1, 5), {"a": bound(7, 1.17)}]
    for number, results in enumerate(parts):
        depthwise.draw(results, tmp_path / f"{number}.png")
        assert depthwise.details(results)
