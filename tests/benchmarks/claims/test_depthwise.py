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


def bound(size, paper, smaller=1.0, estimate=1.0, residual=1e-6):
    """Results of one size whose filters have norm 1 and these bounds, give or take a thousandth."""
    names = (depthwise_bounds.SMALLER, depthwise_bounds.PROJECT)
    figures = {
        depthwise_bounds.EXACT: [1.0] * 3,
        depthwise_bounds.RESIDUAL: residual,
        depthwise_bounds.ESTIMATE: [estimate] * 3,
        depthwise_bounds.PAPER: [paper * stretch for stretch in (0.999, 1.0, 1.001)],
        **{name: [smaller] * 3 for name in names},
    }
    return {"options": {"part": "bound", "size": size, "filters": 3}, "figures": figures}


def bounds(values, **keywords):
    """The same for all sizes, with one bound of the paper for each."""
    return {
        f"bound-{size}": bound(size, value, **keywords)
        for size, value in zip(depthwise_bounds.SIZES, values, strict=True)
    }


def test_findings_on_bounds():
    good = bounds([1.17, 1.08, 1.04, 1.02, 1.01])
    verdicts = [finding.verdict for finding in depthwise_tightness.findings(good)]
    assert verdicts == ["holds", "holds", "holds", "holds", "not measured yet"]
    bad = bounds([0.97, 0.98, 0.99, 1.02, 1.05], smaller=1.1)
    verdicts = [finding.verdict for finding in depthwise_tightness.findings(bad)]
    assert verdicts[:4] == ["does not hold"] * 4
    del good["bound-56"]
    verdicts = [finding.verdict for finding in depthwise_tightness.findings(good)]
    assert [verdicts[place] for place in (0, 2, 3)] == ["not measured yet"] * 3


def test_norms_are_not_surer_than_their_residual():
    for residual, verdict, text in (
        (1e-2, "holds", "0 of 15 kernels below their norm by more than the residual, 15 within"),
        (1e-4, "does not hold", "10 of 15"),
    ):
        found = depthwise_tightness.findings(bounds([0.9995] * 5, residual=residual))[0]
        assert found.verdict == verdict
        assert text in found.ours
        assert f"which is {100 * residual:.2g} % at most" in found.ours


@pytest.mark.parametrize(("median", "verdict"), [(1.185, "holds"), (1.14, "does not hold")])
def test_median_at_the_smallest_size(median, verdict):
    found = depthwise_tightness.findings({"a": bound(7, 2.0, estimate=2.0 / median)})
    assert found[1].verdict == verdict


def test_estimates_do_not_decide_where_bounds_fall():
    """Power iterations that fall short more and more hide that a bound gets tighter."""
    made = bounds([1.17, 1.08, 1.04, 1.02, 1.01])
    for place, result in enumerate(made.values()):
        result["figures"][depthwise_bounds.ESTIMATE] = [1 - 0.15 * place] * 3
    assert depthwise_tightness.findings(made)[2].verdict == "holds"


@pytest.mark.parametrize(("strided", "verdict"), [(1.8, "holds"), (0.9, "does not hold")])
def test_finding_on_layers(strided, verdict):
    rows = [
        {"strides": strides, "norm": 1.0, **dict.fromkeys(_BOUNDS, value + 0.001 * number)}
        for strides, value in ((1, 1.03), (2, strided))
        for number in range(3)
    ]
    results = {
        name: {"options": {"part": "layers", "kernels": name}, "figures": {"layers": rows}}
        for name in depthwise_bounds.KERNELS
    }
    assert depthwise_tightness.findings(results)[-1].verdict == verdict
    assert "| Glorot | 2 | 3 |" in depthwise_tightness.details(results)
    del results["trained"]
    assert depthwise_tightness.findings(results)[-1].verdict == "not measured yet"


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


def overhead(lower, upper, quartiles=True, files=depthwise_overhead.FILES):
    row = {"kind": "time", "contender": "SN", "ratio": lower}
    row |= {"network": "mobilenet_v2_full", "batch": 1, "device": "CPU", "backend": "jax"}
    if quartiles:
        row["quartiles"] = [lower, upper]
    counts = {"one input for each layer": 10, "one channel vector for each layer": 5}
    figures = {
        "copied": [{**row, "file": f"{name}.json"} for name in files],
        "stored numbers": {"32": counts},
    }
    return {"overhead": {"options": {"part": "overhead"}, "figures": figures}}


@pytest.mark.parametrize(
    ("lower", "upper", "verdicts"),
    [
        (1.0, 1.01, ["holds", "holds"]),
        # A wide spread does not make a ratio small.
        (1.0, 1.7, ["undecided", "undecided"]),
        (1.5, 1.6, ["does not hold", "holds"]),
        (1.7, 1.8, ["does not hold", "does not hold"]),
    ],
)
def test_findings_on_cost(lower, upper, verdicts):
    found = depthwise_overhead.findings(overhead(lower, upper))
    assert [finding.verdict for finding in found] == verdicts
    assert "MobileNetV2 1.0, batch 1, CPU" in found[0].ours


def test_cost_without_quartiles_or_with_a_network_missing():
    for made in (
        overhead(1.0, 1.0, quartiles=False),
        overhead(1.0, 1.0, files=depthwise_overhead.FILES[:2]),
    ):
        found = depthwise_overhead.findings(made)
        assert {finding.verdict for finding in found} == {"not measured yet"}
        assert "×1.00" in found[0].ours


def test_counts_are_printed_but_not_judged():
    assert "5 at 32×32 pixels, where the inputs of all layers are 10" in depthwise_overhead.details(
        overhead(1.0, 1.1)
    )


def test_stored_numbers_grow_with_the_image_only_if_inputs_are_kept():
    small, large = depthwise_overhead.stored(64), depthwise_overhead.stored(128)
    inputs, channels = small
    assert small[channels] == large[channels] < small[inputs] < large[inputs]


def test_without_results(tmp_path):
    found = depthwise.findings({})
    assert {(finding.verdict, finding.ours) for finding in found} == {("not measured yet", "–")}
    assert depthwise.details({}) == ""
    parts = [overhead(1.0, 1.1), {"a": bound(7, 1.17)}]
    for number, results in enumerate(parts):
        depthwise.draw(results, tmp_path / f"{number}.png")
        assert depthwise.details(results)
