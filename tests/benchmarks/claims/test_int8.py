"""The claim on what int8 costs."""

import json

import numpy as np
import pytest
from scipy import stats

from benchmarks.claims import int8, int8_findings
from benchmarks.claims.claim import Run, Setting


def results(losses, again=None, ratio=35.0):
    """Results of one network, with a loss for each seed, by normalization."""
    made = {}
    for normalization, values in losses.items():
        recorded = [
            {"seed": seed, "accuracy": 99.0, "loss": value, "signal-to-noise ratio": ratio}
            for seed, value in enumerate(values)
        ]
        measured = [{**recorded[0], **({"loss": again} if again is not None else {})}]
        made[f"vgg7-{normalization}"] = {
            "options": {"network": "vgg7", "normalization": normalization, "seed": 0},
            "figures": {"measured": measured, "recorded": recorded},
        }
    return made


BATCH = [1.0, 1.1, 0.9]


@pytest.mark.parametrize(
    ("spectral", "keeps", "less"),
    [
        ([0.0, 0.1, 0.05], "holds", "holds"),
        ([2.0, 2.1, 1.95], "does not hold", "does not hold"),
        ([1.0, 1.2, 0.85], "does not hold", "no difference"),
    ],
)
def test_verdicts(spectral, keeps, less):
    found = int8.findings(results({"batch": BATCH, "spectral": spectral}))
    assert [found[0].verdict, found[1].verdict] == [keeps, less]


def test_higher_ratio_is_better():
    lower = results({"batch": BATCH}, ratio=30.0)
    ratios = {"batch": 30.0, "spectral": 40.0}
    for better, worse in (("spectral", "batch"), ("batch", "spectral")):
        made = {
            **lower,
            **results({"spectral": BATCH}, ratio=ratios["spectral"]),
        }
        for name, ratio in ((better, 40.0), (worse, 30.0)):
            for place, own in enumerate(made[f"vgg7-{name}"]["figures"]["recorded"]):
                own["signal-to-noise ratio"] = ratio + 0.1 * place * (name == "batch")
            made[f"vgg7-{name}"]["figures"]["measured"] = []
        verdict = int8.findings(made)[2].verdict
        assert verdict == ("holds" if better == "spectral" else "does not hold")


def test_interval_is_students():
    values = [0.1, 0.4, -0.2, 0.3]
    mean, half = int8_findings.interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert int8_findings.interval([1.0])[1] == float("inf")


def test_export_again():
    same = int8.findings(results({"batch": BATCH}, again=1.0))[-1]
    other = int8.findings(results({"batch": BATCH}, again=2.0))[-1]
    assert (same.verdict, other.verdict) == ("holds", "does not hold")


def test_measured_goes_before_recorded():
    values = int8_findings.values_of(results({"batch": BATCH}, again=3.0), int8_findings.LOSS)
    assert values == {("vgg7", "batch", seed): value for seed, value in enumerate([3.0, 1.1, 0.9])}


def test_without_results(tmp_path):
    assert {finding.verdict for finding in int8.findings({})} == {"not measured yet"}
    assert int8.details({}) == ""
    int8.draw(results({"batch": BATCH}), tmp_path / "int8.png")
    assert "VGG7 | batch | 99.00 ± 0.00 (3 seeds)" in int8.details(results({"batch": BATCH}))


def test_figures_of_a_kept_network():
    run = Run("x", {"network": "small_cnn", "normalization": "spectral", "seed": 0})
    figures = int8.measure(Setting("smoke"), run)
    (own,) = figures["measured"]
    entry = next(
        entry
        for entry in json.loads((int8.SAVED / "results.json").read_text())
        if (entry["network"], entry["normalization"], entry["seed"]) == ("small_cnn", "spectral", 0)
    )
    assert own["accuracy"] == pytest.approx(100 * entry["int8"]["accuracy_model"], abs=0.3)
    assert [found["seed"] for found in figures["recorded"]] == [0, 1, 2]
    assert figures["recorded"][0]["loss"] == 100 * entry["int8"]["accuracy_drop"]


def test_trained_networks_where_none_is_kept():
    kept, trained = int8.runs(Setting()), int8.runs(Setting("paper", "cifar10", 2))
    assert len(kept) == 20
    assert len(trained) == 40
    assert {run.options["seed"] for run in trained} == {0, 1}
