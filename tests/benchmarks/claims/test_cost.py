"""The claim on the cost of mean spectral normalization."""

import numpy as np
import pytest

from benchmarks.claims import cost, cost_findings
from benchmarks.claims.claim import Run, Setting


def result(network, depth, mine, its, parameters=(90, 100)):
    """A run where MSN takes `mine` seconds and batch normalization `its`, whatever is timed."""
    seconds = {"none": 1.0, "batch": its, "spectral": 1.0, "mean-spectral": mine}
    # Rounds that a busy machine stretches leave the ratios as they are.
    times = {
        name: [value * stretch for stretch in (1.0, 1.5, 1.1, 2.0)]
        for name, value in seconds.items()
    }
    counts = {name: {"trainable": parameters[1], "total": 200} for name in seconds}
    counts["mean-spectral"] = {"trainable": parameters[0], "total": 210}
    return {
        "options": {"network": network, "arguments": {"depth": depth} if depth else {}},
        "figures": {"parameters": counts, **{kind: times for kind in cost_findings.KINDS}},
    }


def everywhere(*arguments, **keywords):
    """The same figures in all runs of the plan."""
    networks = {"small_cnn": None, "vgg7": None, "densenet_bc-40": 40, "densenet_bc-100": 100}
    return {
        name: result(name.split("-")[0], depth, *arguments, **keywords)
        for name, depth in networks.items()
    }


@pytest.mark.parametrize(
    ("mine", "its", "verdict"),
    [(1.0, 2.0, "holds"), (2.0, 1.0, "does not hold"), (1.0, 1.0, "no difference")],
)
def test_verdict_on_time(mine, its, verdict):
    found = cost.findings(everywhere(mine, its))
    assert [finding.verdict for finding in found[:3]] == [verdict] * 3
    assert f"VGG7 ×{mine / its:.2f}" in found[0].ours


def test_networks_that_disagree():
    results = everywhere(1, 2) | {"densenet_bc-100": result("densenet_bc", 100, 2, 1, (100, 100))}
    found = cost.findings(results)
    assert {finding.verdict for finding in found} == {"partly"}
    assert "DenseNet-BC-100 100 against 100" in found[-1].ours


def test_a_network_that_is_missing():
    results = everywhere(1, 2)
    del results["densenet_bc-40"]
    found = cost.findings(results)
    assert {finding.verdict for finding in found} == {"not measured yet"}
    assert "VGG7 ×0.50" in found[0].ours


def test_verdict_on_parameters():
    more = cost.findings(everywhere(1, 1, parameters=(101, 100)))
    fewer = cost.findings(everywhere(1, 1))
    assert (more[-1].verdict, fewer[-1].verdict) == ("does not hold", "holds")


def test_sign_of_quartiles():
    assert [cost_findings.sign(q) for q in ((0.7, 0.8, 0.9), (0.9, 1.0, 1.1), (1.1, 1.2, 1.3))] == [
        1,
        0,
        -1,
    ]


def test_without_results():
    found = cost.findings({})
    assert {(finding.verdict, finding.ours) for finding in found} == {("not measured yet", "–")}
    assert cost.details({}) == ""


def test_details_and_picture(tmp_path):
    results = {"a": result("small_cnn", None, 1.0, 2.0)}
    table = cost.details(results)
    assert "none ×1.00 (1.00 to 1.00), batch ×0.50 (0.50 to 0.50)" in table
    cost.draw(results, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 0


@pytest.mark.slow
def test_measured_network():
    run = next(run for run in cost.runs(Setting("smoke")) if run.name == "small_cnn")
    figures = cost.measure(Setting("smoke"), Run(run.name, {**run.options, "rounds": 2}))
    kernels = 25 * 16 + 9 * 16 * 32 + 16 * 32 * 32 + 8192 * 10 + 10
    trainable = {name: own["trainable"] for name, own in figures["parameters"].items()}
    assert trainable["mean-spectral"] == trainable["none"] == kernels + 80
    assert trainable["batch"] == kernels + 160
    assert figures["parameters"]["batch"]["total"] == kernels + 320
    for kind in cost_findings.KINDS:
        assert all(len(times) == 2 and min(times) > 0 for times in figures[kind].values())


def test_normalizations_differ_in_nothing_else():
    options = cost.runs(Setting("smoke"))[-1].options
    for name in cost.NORMALIZATIONS:
        model = cost.built(options, name)
        assert not any("dropout" in layer.name for layer in model.layers)
        slopes = {
            type(layer).__name__ for layer in model.layers if layer.name.endswith("activation")
        }
        assert slopes == {"ReLU"}, name
        assert np.prod(model.output_shape[1:]) == cost.CLASSES
