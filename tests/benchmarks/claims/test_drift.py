"""The claim on drift: from what was recorded to its verdicts."""

import math

import pytest

from benchmarks.claims import drift, drift_numbers
from benchmarks.claims.claim import Setting

ROWS = ("channels", "layer", "weights", "zeros", "variance", "eigenvalues")


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
    assert {found.ours for found in drift.findings({})} == {"–"}
    assert drift.details({}) == ""
    results = results_of(batch=(1.0, 0.2, 5.0))
    assert set(verdicts(results).values()) == {"not measured yet"}
    assert "| BN, ReLU | 1.001 ± 0.001 (3 seeds) |" in drift.details(results)
    drift.draw(results, tmp_path / "drift.png")
    assert (tmp_path / "drift.png").stat().st_size > 1000


def lose(results, name):
    """Makes a seed one that diverged: it has `None` where a figure was not finite."""
    figures = results[name]["figures"]
    figures["activations"]["conv1"] = {
        "mean": [1.0, None],
        "deviation": [1.0, None],
        "channels": [0.0, None],
    }


def test_seeds_that_diverged_are_counted():
    results = results_of(batch=(1.0, 0.2, 5.0))
    lose(results, "batch-0")
    assert len(drift_numbers.collected(results, "layer")["batch", 0.0]) == 3
    assert "BN 1.00 ± 0.00 (2 seeds), 1 of 3 diverged" in drift.findings(results)[0].ours
    assert "(2 seeds), 1 of 3 diverged |" in drift.details(results)
    for seed in (1, 2):
        lose(results, f"batch-{seed}")
    assert drift.findings(results)[0].ours.endswith("BN 3 of 3 diverged")


@pytest.mark.parametrize(("lost", "verdict"), [("mean_spectral", "partly"), (None, "holds")])
def test_a_seed_that_diverged_speaks_against_the_claim(lost, verdict):
    numbers = {"spectral": 3.0, "batch": 1.0, "mean_spectral": 1.0}
    results = results_of(**{name: (own, 0.2, 5.0) for name, own in numbers.items()})
    if lost:
        for seed in (0, 1):
            lose(results, f"{lost}-{seed}")
    assert verdicts(results)["channels"] == verdict


@pytest.mark.parametrize("layer", ["activations", "kernels"])
def test_a_dead_layer_has_no_drift(layer):
    figures = figures_of(drifted=2.0, zero=0.25, size=100.0, noise=0.0)
    figures[layer]["conv1"] = {**figures[layer]["conv1"], "deviation": [1.0, 0.0]}
    assert math.isnan(drift_numbers.layer_drift(figures, layer)[-1])


def test_negative_numbers_have_a_minus():
    assert drift_numbers.described([-1.0, -2.0], 1) == "−1.5 ± 0.7 (2 seeds)"
    assert drift_numbers.described([], 1) == "–"


@pytest.mark.parametrize("absent", ["spectral", "batch", "mean-spectral"])
def test_a_comparison_that_is_not_there_decides_nothing(absent):
    results = results_of(
        spectral=(3.0, 0.4, 0.5), batch=(1.0, 0.2, 5.0), mean_spectral=(1.0, 0.4, 50.0)
    )
    results = {
        name: own for name, own in results.items() if own["options"]["normalization"] != absent
    }
    found = verdicts(results)
    assert found["channels"] == found["layer"] == found["weights"] == "not measured yet"


def test_runs():
    small = drift.runs(Setting())
    assert len(small) == 18 and len({run.name for run in small}) == 18
    assert len(drift.runs(Setting("smoke"))) == 2
    options = small[0].options
    assert (options["epochs"], options["batches"], options["watched"]) == (30, 64, 256)
    assert options["rates"] == [drift.RATE] and options["noise"] == 0.0
