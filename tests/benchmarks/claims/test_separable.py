"""The accuracy of separable networks by the limit of their layers."""

import keras
import numpy as np
import pytest

from benchmarks.claims import (
    augmentation,
    depthwise,
    separable,
    separable_findings,
    separable_trainings,
)
from benchmarks.claims.claim import Run, Setting
from tfspecnorm import layers, scales

FAILED = {"rate": 1.0, "loss": [None], "validation": [0.1], "test": 0.1}


def accuracy(form, limit, values, rate=0.01, validation=None, fails=0):
    """Runs that diverge at one rate and do this well at the other, but for the last ones."""
    made = {}
    for seed, value in enumerate(values):
        held = value if validation is None else validation
        training = {"rate": rate, "loss": [1.0], "validation": [held], "test": value}
        if seed >= len(values) - fails:
            training = {**FAILED, "rate": rate}
        options = {"part": "accuracy", "form": form, "limit": limit, "seed": seed, "epochs": 1}
        figures = {"classes": 10, "rates": [FAILED, training]}
        made[f"{form}-{limit}-{seed}"] = {"options": options, "figures": figures}
    return made


LOW, MIDDLE, HIGH = [0.30, 0.31], [0.60, 0.61], [0.90, 0.91]
LIMITS = separable.LIMITS["small"]


def everywhere(best, edge, plain, soft_shift=0.0, rising=False):
    """All runs of the small scale, with learning rates that fall with the limit, or rise."""
    made = accuracy("none", None, plain)
    for form, shift in (("hard", 0.0), ("soft", soft_shift)):
        for limit in LIMITS:
            values = [value + shift for value in (best if limit == 5 else edge)]
            made |= accuracy(form, limit, values, 10.0 ** (limit - 10 if rising else -limit))
    return made


def verdicts(results):
    return [finding.verdict for finding in separable_findings.findings(results)]


def test_findings_on_accuracy():
    good = everywhere(HIGH, LOW, LOW)
    good |= accuracy("hard", 2, [0.35, 0.36], 1e-2) | accuracy("soft", 3, [0.35, 0.36], 1e-3)
    assert verdicts(good) == ["holds"] * 5
    bad = everywhere(LOW, HIGH, [0.98, 0.99], -0.05, rising=True)
    for form, shift in (("hard", 0.0), ("soft", -0.05)):
        for limit in (2, 3):
            values = [value + shift for value in MIDDLE]
            bad |= accuracy(form, limit, values, 10.0 ** (limit - 10))
    assert verdicts(bad) == ["does not hold"] * 5


def test_one_better_limit_refutes_the_best_one():
    made = everywhere(MIDDLE, LOW, LOW)
    assert verdicts(made)[0] == "holds"
    assert verdicts(made | accuracy("soft", 3, HIGH))[0] == "does not hold"


def test_limits_are_picked_by_validation():
    """The limit that tests best does not count if another one validates better."""
    made = everywhere(HIGH, LOW, LOW)
    for form in ("hard", "soft"):
        made |= accuracy(form, 3, LOW, validation=0.99)
    found = separable_findings.findings(made)
    assert found[1].verdict == "no difference"
    assert found[4].verdict == "no difference"
    assert "at K = 3" in found[1].ours


def test_a_limit_that_is_missing():
    made = everywhere(HIGH, LOW, LOW)
    for seed in (0, 1):
        del made[f"soft-3-{seed}"]
    assert verdicts(made) == ["not measured yet"] * 5


def test_no_winner():
    """Where no form is ahead at any limit, or each at some, neither wins."""
    assert verdicts(everywhere(HIGH, LOW, LOW))[2] == "holds"
    assert verdicts(everywhere(HIGH, LOW, LOW, 0.05))[2] == "does not hold"


def test_diverged_trainings_count_as_guessing():
    made = accuracy("hard", 5, [0.9, 0.9, 0.9], fails=1)
    group = separable_trainings.trainings_of(made)["hard", 5]
    assert group.tests == [90.0, 90.0, 10.0]
    assert group.diverged == 1
    assert "1 of 3 diverged" in separable_findings.findings(made)[0].ours


def test_limits_that_do_not_learn_have_no_rate():
    made = everywhere(HIGH, LOW, LOW) | accuracy("hard", 1, [0.1, 0.1], 1e-9)
    found = separable_findings.findings(made)[3]
    assert "hard K = 1: 0 of 2 learned" in found.ours
    assert found.verdict == "holds"
    chance = everywhere([0.1, 0.1], [0.1, 0.1], LOW)
    assert separable_findings.findings(chance)[3].verdict == "undecided"


def test_one_seed_decides_nothing():
    results = {name: own for name, own in everywhere(HIGH, LOW, LOW).items() if name[-1] == "0"}
    assert verdicts(results) == ["not measured yet"] * 5


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


@pytest.mark.slow
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
    one, other, moved = (separable.Batches(images, labels, 4, 0, shift) for shift in (0, 0, 2))
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


def placed(image, pixels):
    """All places that an image can be shifted to, one by one."""
    padded = np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)))
    height, width = image.shape[:2]
    steps = range(2 * pixels + 1)
    return {padded[r : r + height, c : c + width].tobytes() for r in steps for c in steps}


@pytest.mark.parametrize("mirrored", [False, True])
def test_shifted_images(mirrored):
    images = np.random.default_rng(0).standard_normal((400, 5, 4, 2)).astype("float32")
    found = augmentation.shifted(images, np.random.default_rng(1), 2, mirrored)
    assert found.dtype == images.dtype
    straight = [own.tobytes() in placed(image, 2) for own, image in zip(found, images, strict=True)]
    flipped = [
        own.tobytes() in placed(image[:, ::-1], 2) for own, image in zip(found, images, strict=True)
    ]
    assert all(one or other for one, other in zip(straight, flipped, strict=True))
    assert sum(flipped) == (pytest.approx(200, abs=50) if mirrored else 0)


def test_only_what_may_be_mirrored_is():
    photographs, digits = Setting("paper", "cifar10"), Setting("paper")
    assert {run.options["shift"] for run in separable.runs(photographs)} == {4}
    assert {run.options["shift"] for run in separable.runs(digits)} == {0}
    images = np.arange(1.0, 65.0).reshape(1, 8, 8, 1).repeat(32, 0)
    batch, _ = separable.Batches(images, np.zeros(32), 32, 0, 1, mirrored=False)[0]
    assert all(own.tobytes() in placed(images[0], 1) for own in batch)
