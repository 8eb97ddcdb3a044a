"""The claim on what int8 costs."""

import json

import keras
import numpy as np
import pytest
from scipy import stats

from benchmarks.claims import int8, int8_findings
from benchmarks.claims.claim import Setting


def results(losses, again=None, ratio=35.0, networks=int8.NETWORKS):
    """Results of networks that are alike, with a loss for each seed, by normalization."""
    made = {}
    for network in networks:
        for normalization, values in losses.items():
            recorded = [
                {"seed": seed, "accuracy": 99.0, "loss": value, "signal-to-noise ratio": ratio}
                for seed, value in enumerate(values)
            ]
            measured = [{**recorded[0], **({"loss": again} if again is not None else {})}]
            made[f"{network}-{normalization}"] = {
                "options": {"network": network, "normalization": normalization},
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
        ([0.0, 0.5, 1.0], "undecided", "holds"),
    ],
)
def test_verdicts(spectral, keeps, less):
    losses = {"batch": BATCH, "spectral": spectral, "mean-spectral": spectral}
    found = int8.findings(results(losses))
    assert [found[0].verdict, found[1].verdict] == [keeps, less]


def test_what_is_missing_leaves_claims_open():
    losses = {"batch": BATCH, "spectral": [0.0, 0.1, 0.0], "mean-spectral": [0.0, 0.1, 0.0]}
    for made in (
        results({name: losses[name] for name in ("batch", "spectral")}),
        results(losses, networks=["vgg7"]),
    ):
        found = int8.findings(made)
        assert {finding.verdict for finding in found} == {"not measured yet"}
        assert "spectral +0.0" in found[0].ours


@pytest.mark.parametrize(("shift", "verdict"), [(5.0, "holds"), (-5.0, "does not hold")])
def test_higher_ratio_is_better(shift, verdict):
    made = results({"batch": BATCH, "spectral": BATCH, "mean-spectral": BATCH})
    for name, result in made.items():
        for own in result["figures"]["recorded"] + result["figures"]["measured"]:
            own["signal-to-noise ratio"] += 0.1 * own["seed"]
            own["signal-to-noise ratio"] += shift * ("spectral" in name)
    assert int8.findings(made)[2].verdict == verdict


def test_interval_is_students():
    values = [0.1, 0.4, -0.2, 0.3]
    mean, half = int8_findings.interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert int8_findings.interval([1.0])[1] == float("inf")


def test_export_again():
    losses = dict.fromkeys(int8.NORMALIZATIONS, BATCH)
    verdicts = [int8.findings(results(losses, again))[-1].verdict for again in (1.0, 2.0)]
    assert verdicts == ["holds", "does not hold"]
    assert int8.findings(results({"batch": BATCH}, 1.0))[-1].verdict == "not measured yet"


def test_measured_goes_before_recorded():
    made = results({"batch": BATCH}, again=3.0, networks=["vgg7"])
    values = int8_findings.values_of(made, int8_findings.LOSS)
    assert values == {("vgg7", "batch", seed): value for seed, value in enumerate([3.0, 1.1, 0.9])}


def test_without_results(tmp_path):
    found = int8.findings({})
    assert {(finding.verdict, finding.ours) for finding in found} == {("not measured yet", "–")}
    assert int8.details({}) == ""
    int8.draw(results({"batch": BATCH}), tmp_path / "int8.png")
    table = int8.details(results({"batch": BATCH, "spectral": BATCH}))
    assert "VGG7 | batch | 99.00 ± 0.00 (3 seeds)" in table
    assert "| VGG7 | spectral |" in table
    assert "| MobileNetV2 | spectral, factor 3 |" in table


def test_figures_of_a_kept_network():
    run = next(run for run in int8.runs(Setting("smoke")) if run.name == "small_cnn-spectral")
    assert run.options["seeds"] == [0, 1, 2]
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


def test_factors_are_those_of_the_kept_networks():
    entries = json.loads((int8.SAVED / "results.json").read_text())
    known = {
        (entry["network"], entry["normalization"]): entry["arguments"]
        for entry in entries
        if entry["seed"] == 0
    }
    for run in int8.runs(Setting()):
        network, normalization = run.options["network"], run.options["normalization"]
        assert [*run.options["training"], "--seed", "0"] == known[network, normalization]
        if normalization in int8_findings.SPECTRAL:
            model = keras.saving.load_model(int8.SAVED / f"{run.name}.keras", compile=False)
            factors = {layer.scale.value for layer in model.layers if hasattr(layer, "scale")}
            assert factors == {int8_findings.FACTORS.get(network, 1)}
