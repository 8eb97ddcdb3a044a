"""The claim on accuracy: its runs, and its verdicts."""

import json

import pytest

from benchmarks.claims import accuracy, accuracy_findings, classifiers
from benchmarks.claims.claim import Setting

RATES = (1e-1, 1e-2, 1e-3, 1e-4)
ROWS = ("failing", "bn cnn", "bn vgg7", "bn densenet", "sn cnn", "sn vgg7", "sn densenet", "rates")


def test_runs():
    small = accuracy.runs(Setting())
    assert len(small) == 55 and len({run.name for run in small}) == 55
    assert all(run.options["rates"] == list(RATES) for run in small)
    assert all(run.options["slope"] == 0.0 for run in small)
    options = small[0].options
    assert (options["epochs"], options["training"], options["noise"]) == (60, 320, 0.5)
    protocol = classifiers.protocol_of(Setting(), "small_cnn")
    assert classifiers.Protocol.of(json.loads(json.dumps(options))) == protocol
    paper = accuracy.runs(Setting("paper", "cifar10"))
    assert len(paper) == 165 and len({run.name for run in paper}) == 165
    assert len(accuracy.runs(Setting("smoke"))) == 2


def results_of(network, normalization, by_rate, failed=()):
    """Results of as many seeds as there are accuracies."""
    seeds = range(len(by_rate[RATES[0]]))
    return {
        f"{network}-{normalization}-seed-{seed}": {
            "options": {"network": network, "normalization": normalization, "seed": seed},
            "figures": {
                "trainings": [
                    {
                        "rate": rate,
                        "test": by_rate[rate][seed],
                        "selected": by_rate[rate][seed],
                        "failed": rate in failed,
                    }
                    for rate in RATES
                ]
            },
        }
        for seed in seeds
    }


def network_results(spectral, batch, mean, none=0.95, network="small_cnn", failed=None):
    """Results of three seeds; `failed`: the rates at which each normalization fails."""

    def around(value):
        return {rate: [value - 0.001, value, value + 0.001] for rate in RATES}

    values = {"spectral": spectral, "batch": batch, "mean-spectral": mean, "none": none}
    results = {}
    for name, value in values.items():
        results |= results_of(network, name, around(value), (failed or {}).get(name, ()))
    return results


def verdicts(results):
    return dict(zip(ROWS, (found.verdict for found in accuracy.findings(results)), strict=True))


def test_verdicts_when_the_claims_hold():
    found = verdicts(network_results(0.85, 0.93, 0.95))
    assert found["failing"] == found["bn cnn"] == found["sn cnn"] == "holds"
    assert found["bn vgg7"] == found["sn densenet"] == found["rates"] == "not measured yet"


def test_verdicts_when_they_do_not():
    found = verdicts(network_results(0.95, 0.95, 0.93))
    assert found["failing"] == found["bn cnn"] == found["sn cnn"] == "does not hold"


def test_equality_is_as_good_but_not_better():
    found = verdicts(network_results(0.95, 0.95, 0.95))
    assert found["bn cnn"] == "holds"
    assert found["sn cnn"] == "no difference"
    assert found["failing"] == "does not hold"


def test_gaps_of_the_margins_are_undecided():
    found = verdicts(network_results(0.90, 0.95, 0.95, none=0.95))
    assert found["failing"] == "undecided"
    assert verdicts(network_results(0.90, 0.96, 0.95))["bn cnn"] == "undecided"


@pytest.mark.parametrize("absent", ["none", "batch", "mean-spectral", "spectral"])
def test_a_failure_is_one_against_all_others(absent):
    results = network_results(0.85, 0.93, 0.95)
    results = {
        name: own for name, own in results.items() if own["options"]["normalization"] != absent
    }
    assert verdicts(results)["failing"] == "not measured yet"
    assert accuracy.findings(results)[0].ours.count("seeds") == 3


def rates_row(**failed):
    """The row on high rates, from networks whose normalizations fail at the rates given."""
    results = {}
    for network in classifiers.NETWORKS:
        own = {name.replace("_", "-"): rates for name, rates in failed.items()}
        results |= network_results(0.9, 0.9, 0.9, network=network, failed=own)
    return accuracy.findings(results)[-1]


@pytest.mark.parametrize(
    ("spectral", "mean", "verdict"),
    [
        ((1e-1, 1e-2), (), "holds"),
        # One rate at which both fail hides nothing at the other.
        ((1e-1, 1e-2), (1e-1,), "holds"),
        ((1e-1,), (1e-1, 1e-2), "does not hold"),
        ((1e-1, 1e-2), (1e-1, 1e-2), "no difference"),
        ((), (), "no difference"),
        # Small rates are not what the claim is about.
        ((1e-3, 1e-4), (), "no difference"),
    ],
)
def test_high_rates(spectral, mean, verdict):
    row = rates_row(spectral=spectral, mean_spectral=mean)
    assert row.verdict == verdict
    assert row.ours.count(" of 3") == 12
    text = f"VGG7 at 0.1: SN {3 * (0.1 in spectral)} of 3, MSN {3 * (0.1 in mean)} of 3"
    assert text in row.ours


def test_high_rates_are_judged_in_every_network():
    results = network_results(0.9, 0.9, 0.9, failed={"spectral": (1e-1, 1e-2)})
    assert verdicts(results)["rates"] == "not measured yet"
    for network in ("vgg7", "densenet_bc"):
        results |= network_results(0.9, 0.9, 0.9, network=network)
    assert verdicts(results)["rates"] == "partly"


def accuracies(records, normalization):
    return accuracy_findings.tests(accuracy_findings.best(records, "vgg7", normalization))


def test_the_best_rate_is_that_of_validation():
    by_rate = {1e-1: [0.1, 0.1], 1e-2: [0.1, 0.1], 1e-3: [0.8, 0.9], 1e-4: [0.5, 0.6]}
    results = results_of("vgg7", "batch", by_rate)
    for result in results.values():
        for record in result["figures"]["trainings"]:
            record["selected"] = {1e-1: 0.1, 1e-2: 0.1, 1e-3: 0.7, 1e-4: 0.8}[record["rate"]]
    records = accuracy_findings.collected(results)
    assert accuracies(records, "batch") == [0.5, 0.6]
    assert accuracies(records, "none") == []


def test_a_training_without_any_epoch_counts_as_nothing_right():
    results = results_of("vgg7", "none", {rate: [None, 0.9] for rate in RATES}, failed=RATES)
    assert accuracies(accuracy_findings.collected(results), "none") == [0.0, 0.9]
    assert "[2 of 2 failed]" in accuracy.details(results)


def test_nothing_measured():
    assert set(verdicts({}).values()) == {"not measured yet"}
    assert {found.ours for found in accuracy.findings({})} == {"–"}
    assert accuracy.details({}) == ""


def test_tables_and_pictures_of_a_part(tmp_path):
    results = network_results(0.9, 0.92, 0.93, network="vgg7")
    table = accuracy.details(results)
    assert "| SN | 90.0 ± 0.1 % (3 seeds) |" in table and "DenseNet" not in table
    accuracy.draw(results, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").stat().st_size > 1000
