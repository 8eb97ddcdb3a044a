"""The accuracy of separable networks by the limit of their layers."""

import keras
import numpy as np

from benchmarks.claims import depthwise, separable, separable_findings
from benchmarks.claims.claim import Run, Setting
from tfspecnorm import layers, scales


def accuracy(form, limit, values, rate=0.01):
    return {
        f"{form}-{limit}-{seed}": {
            "options": {"part": "accuracy", "form": form, "limit": limit, "seed": seed},
            "figures": {
                "classes": 10,
                "rates": [
                    {"rate": 1.0, "loss": [None], "validation": [None], "test": 0.1},
                    {"rate": rate, "loss": [1.0], "validation": [value], "test": value},
                ],
            },
        }
        for seed, value in enumerate(values)
    }


def test_findings_on_accuracy():
    low, high = [0.30, 0.31], [0.90, 0.91]
    good: dict = {}
    for form, edge in (("hard", low), ("soft", low)):
        good |= (
            accuracy(form, 1, edge, 0.1) | accuracy(form, 5, high) | accuracy(form, 8, edge, 1e-4)
        )
    good |= accuracy("none", None, low)
    verdicts = [finding.verdict for finding in separable_findings.findings(good)]
    assert verdicts == ["holds"] * 5
    bad: dict = {}
    for form, shift in (("hard", 0.0), ("soft", -0.05)):
        edge, middle = ([value + shift for value in values] for values in (high, low))
        bad |= accuracy(form, 1, edge, 1e-4) | accuracy(form, 5, middle)
        bad |= accuracy(form, 8, edge, 0.1)
    bad |= accuracy("none", None, [0.98, 0.99])
    verdicts = [finding.verdict for finding in separable_findings.findings(bad)]
    assert verdicts == ["does not hold"] * 5


def test_one_seed_decides_nothing():
    results = accuracy("hard", 1, [0.2]) | accuracy("hard", 5, [0.9]) | accuracy("hard", 8, [0.1])
    found = separable_findings.findings(results)
    assert {finding.verdict for finding in found} == {"not measured yet"}


def test_details_and_picture(tmp_path):
    results = accuracy("none", None, [0.5, 0.7]) | accuracy("soft", 3, [0.9])
    table = depthwise.details(results)
    assert "| none | – | 60.0 ± 14.1 (2 seeds) | 60.0 ± 14.1 (2 seeds) |" in table
    assert "| soft | 3 | 90.0 (1 seed) |" in table
    depthwise.draw(results, tmp_path / "depthwise.png")


def test_forms_of_the_limit():
    options = {"limit": 3, "width": 0.125, "blocks": [1]}
    for form, kind in (("hard", scales.Fixed), ("soft", scales.Tanh)):
        model = separable.built({**options, "form": form}, (8, 8, 3), 10)
        wrappers = [layer for layer in model.layers if isinstance(layer, layers.SpectralNorm)]
        limits = {
            (type(own.scale), getattr(own.scale, "value", None) or own.scale.limit)
            for own in wrappers
            if not own.layer.name.endswith("_depthwise")
        }
        assert limits == {(kind, 3.0)}
        assert len(wrappers) == 7
    model = separable.built({**options, "form": "none", "limit": None}, (8, 8, 3), 10)
    assert not any(isinstance(layer, keras.layers.Wrapper) for layer in model.layers)


def test_rates_start_from_the_same_weights():
    """The same rate twice gives the same losses, also after one that diverged."""
    (run,) = (run for run in separable.runs(Setting("smoke")) if run.options["form"] == "none")
    options = {**run.options, "rates": [1e-2, 1e8, 1e-2]}
    figures = separable.measure(Setting("smoke"), Run(run.name, options))
    first, diverged, again = figures["rates"]
    np.testing.assert_allclose(first["loss"], again["loss"], rtol=1e-5)
    assert first["test"] == again["test"]
    assert not np.isfinite(diverged["loss"]).all() or diverged["loss"][-1] > 1e3


def test_batches_are_full_seeded_and_moved():
    images = np.random.default_rng(0).standard_normal((10, 8, 8, 1)).astype("float32")
    labels = np.arange(10)
    one, other, moved = (
        separable.Batches(images, labels, 4, 0, augmented) for augmented in (False, False, True)
    )
    assert len(one) == 2
    seen = one[0][1].tolist() + one[1][1].tolist()
    assert len(set(seen)) == 8
    np.testing.assert_array_equal(one[0][1], other[0][1])
    np.testing.assert_array_equal(one[0][0], images[one[0][1]])
    one.on_epoch_end()
    assert seen != one[0][1].tolist() + one[1][1].tolist()
    pixels, chosen = moved[0]
    assert pixels.shape == (4, 8, 8, 1)
    assert not np.array_equal(pixels, images[chosen])
    known = set(images.ravel().tolist()) | {0.0}
    assert set(pixels.ravel().tolist()) <= known
