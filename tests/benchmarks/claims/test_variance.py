"""The claim about variances of normalized kernels: what is measured, and what is said of it."""

import math

import pytest

from benchmarks.claims import variance
from benchmarks.claims.claim import Run, Setting


def _results(matrix=0.5, spectral=0.5, bidirectional=1.2, seeds=3):
    """Each value in all shapes, with a small spread over seeds."""
    found = {}
    for run in variance.runs(Setting(seeds=seeds)):
        wobble = 1 + 0.01 * run.seed
        convolution = {"SN": spectral, "BSN": bidirectional, "BSN over SN": 1.0}
        figures = {
            "matrices": {
                variance.titled(shape): {"SN": matrix * wobble} for shape in run.options["matrices"]
            },
            "convolutions": {
                variance.titled(shape): {
                    name: value * wobble for name, value in convolution.items()
                }
                for shape in run.options["convolutions"]
            },
        }
        found[run.name] = {"options": run.options, "figures": figures}
    return found


def _verdicts(results):
    return [finding.verdict for finding in variance.findings(results)]


def test_verdicts_in_both_directions():
    assert _verdicts(_results()) == ["holds", "holds"]
    assert _verdicts(_results(matrix=0.25)) == ["holds", "holds"]
    assert _verdicts(_results(0.1, 0.1, 0.2)) == ["does not hold", "does not hold"]
    assert _verdicts(_results(2.0, 2.0, 8.0)) == ["does not hold", "does not hold"]
    assert _verdicts(_results(matrix=2.0)) == ["partly", "holds"]
    # The limits with their tolerance.
    assert _verdicts(_results(1.04, 1.04, 4.16)) == ["undecided", "undecided"]
    assert _verdicts(_results(seeds=1)) == ["not measured yet", "not measured yet"]


def test_shapes_that_are_missing():
    results = _results()
    for result in results.values():
        del result["figures"]["convolutions"]["3 → 64, 3×3"]
    assert _verdicts(results) == ["not measured yet", "not measured yet"]


def test_nothing_is_measured():
    assert [(row.verdict, row.ours) for row in variance.findings({})] == 2 * [
        ("not measured yet", "–")
    ]
    assert variance.details({}) == ""


def test_details_and_picture(tmp_path):
    assert "| 64 × 27 |" in variance.details(_results())
    variance.draw(_results(), tmp_path / "variance.png")
    assert (tmp_path / "variance.png").stat().st_size > 0


def test_a_small_kernel():
    options = {"matrices": [[64, 256]], "convolutions": [[16, 16, 3]], "seed": 0}
    figures = variance.measure(Setting(), Run("seed-0", options))
    closed = 1 / (1 + math.sqrt(64 / 256)) ** 2
    assert figures["matrices"]["64 × 256"]["SN"] == pytest.approx(closed, rel=0.1)
    convolution = figures["convolutions"]["16 → 16, 3×3"]
    # As many inputs as outputs: both norms of BSN are about equal.
    assert convolution["BSN over SN"] == pytest.approx(1, rel=0.1)
    assert variance.BSN_LIMITS[0] < convolution["BSN"] < variance.BSN_LIMITS[1]
