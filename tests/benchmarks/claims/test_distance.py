"""The claim about Fréchet distances: what is read from curves, and what is said of it."""

import itertools
import math

import keras
import numpy as np
import pytest

from benchmarks.claims import distance, distance_curves, gan_setup
from benchmarks.claims.claim import Setting
from tfspecnorm.layers import BidirectionalSpectralNorm, SpectralNorm

RATES = (1e-3, 2e-3)


def _run(name, seed, curve, rates=RATES):
    return {
        "scale": "small",
        "options": {"normalization": name, "rates": list(rates), "seed": seed},
        "figures": {
            "extractor": "classifier",
            "points": [
                {"step": 10 * place, "distance": value} for place, value in enumerate(curve)
            ],
        },
    }


def _results(curves, pairs=distance_curves.RATES["small"]):
    """From normalization to a curve for each seed, the same ones at each pair of rates."""
    return {
        f"{name}-{rates}-{seed}": _run(name, seed, curve, rates)
        for name, own in curves.items()
        for rates in pairs
        for seed, curve in enumerate(own)
    }


def test_what_is_read_from_curves():
    results = _results({"SN": [(9, 2, 3), (9, 4, 4), (9, 4, 5), (9, None, 1)]}, [RATES])
    assert distance_curves.pairs(results) == [RATES]
    assert distance_curves.best(results, "SN", RATES) == [2, 4, 4, math.inf]
    assert distance_curves.last(results, "SN", RATES) == [3, 4, 5, math.inf]
    assert distance_curves.rises(results, "SN", RATES) == [0.5, 0.0, 0.25, math.inf]
    assert distance_curves.best(results, "BSN", RATES) == []
    assert distance_curves.steps_of_best(results) == [10, 10, 10]
    assert "1 of 4 diverged" in distance.details(results)


def test_scatter_joins_pairs_of_rates():
    """Deviations of logarithms: 0 and 1, each with a freedom of 1."""
    groups = [(1, 1), (1, math.exp(math.sqrt(2)))]
    assert distance_curves.scatter(groups) == pytest.approx((math.sqrt(0.5), 2))
    assert distance_curves.scatter([(1, math.inf)])[1] == 0


def test_scatter_is_told_apart_where_evidence_is_strong():
    random = np.random.default_rng(0)

    def signs(ratio, count=400):
        draws = random.standard_normal((2, count, 2, 3))
        own, others = np.exp(0.1 * draws[0] / ratio), np.exp(0.1 * draws[1])
        found = [distance_curves.steadier(*pair) for pair in zip(own, others, strict=True)]
        return [found.count(sign) / count for sign in (1, -1)]

    assert max(signs(1)) < 0.05
    steadier, less = signs(5)
    assert steadier > 0.7 and less < 0.01


def test_diverged_trainings_are_the_worst():
    fine, some, all_of_them = [1.0, 2.0, 9.0], [0.1, 0.1, math.inf], 3 * [math.inf]
    for better, worse in ((fine, some), (fine, all_of_them), (some, all_of_them)):
        assert distance_curves.smaller(better, worse) == 1
        assert distance_curves.smaller(worse, better) == -1
        assert distance_curves.steadier([better], [worse]) == 1
        assert distance_curves.steadier([worse], [better]) == -1
    assert distance_curves.smaller(some, some) == 0
    assert distance_curves.smaller([], fine) is None
    assert distance_curves.steadier([fine, []], [fine, fine]) is None
    results = _results({"BSN": [(100, 1), (100, None)], "SN": [(100, 5), (100, 6)]})
    verdicts = _verdicts(results)
    assert [verdicts[claim] for claim in verdicts if claim.startswith("BSN")] == 3 * [
        "does not hold"
    ]
    cells = [row.ours for row in distance.findings(results) if row.claim.startswith("BSN")]
    assert len(cells) == 3 and "1 of 2 diverged" in cells[0] and "2 of 4 diverged" in cells[1]


def test_one_pair_of_rates_does_not_decide():
    curves = {name: [(100, 1.0), (100, 1.1)] for name in ("BSN", "BSSN")}
    curves |= {name: [(100, 5.0), (100, 6.0)] for name in ("SN", "SSN")}
    assert set(_verdicts(_results(curves, [RATES])).values()) == {"not measured yet"}


def _verdicts(results):
    return {finding.claim: finding.verdict for finding in distance.findings(results)}


def test_verdicts_in_both_directions():
    good = [(100, 1.0, 1.0), (100, 1.01, 1.01), (100, 1.02, 1.02)]
    bad = [(100, 4.0, 6.0), (100, 5.0, 8.0), (100, 6.0, 10.0)]
    names = {True: ("BSN", "BSSN"), False: ("SN", "SSN")}
    for better in (True, False):
        curves = {name: good for name in names[better]} | {name: bad for name in names[not better]}
        verdicts = _verdicts(_results(curves))
        same = "SSN reaches a smaller distance than SN at each pair of learning rates"
        assert verdicts.pop(same) == "no difference"
        rising = {claim: verdicts[claim] for claim in verdicts if "rises" in claim}
        ordering = {claim: verdicts[claim] for claim in verdicts if "smaller" in claim}
        assert len(rising) == 2 and len(ordering) == 3
        expected = "holds" if better else "does not hold"
        assert {*rising.values(), *ordering.values()} == {expected}


def test_verdict_on_the_spread():
    wide = [(100, value) for value in (2.0, 4.0, 8.0)]
    narrow = [(100, value) for value in (3.8, 4.0, 4.2)]
    claim = "BSN's distances spread less over seeds than SN's"
    assert _verdicts(_results({"BSN": narrow, "SN": wide}))[claim] == "holds"
    assert _verdicts(_results({"BSN": wide, "SN": narrow}))[claim] == "does not hold"
    assert _verdicts(_results({"BSN": narrow, "SN": narrow}))[claim] == "undecided"


def test_some_runs_or_none(tmp_path):
    assert {(row.verdict, row.ours) for row in distance.findings({})} == {("not measured yet", "–")}
    assert len(distance.findings({})) == 8
    assert distance.details({}) == ""
    for curve in ((9, 2, 3), (9, None, None)):
        some = _results({"BSSN": [curve]})
        assert set(_verdicts(some).values()) == {"not measured yet"}
        assert "BSSN" in distance.details(some)
        distance.draw(some, tmp_path / "distance.png")
        assert (tmp_path / "distance.png").stat().st_size > 0


def test_runs_of_all_scales():
    assert len(distance.runs(Setting())) == 24
    assert len(distance.runs(Setting("paper", "cifar10"))) == 80
    assert len({run.name for run in distance.runs(Setting("paper"))}) == 80
    for scale in ("small", "paper", "smoke"):
        steps, every = distance.STEPS[scale]
        assert steps % every == 0
        options = distance.runs(Setting(scale))[0].options
        assert (options["steps"], options["every"]) == (steps, every)
    sizes = [gan_setup.image_size(Setting("paper", name)) for name in ("cifar10", "stl10")]
    assert sizes == [32, 48]


def test_batches_follow_from_their_seed():
    pixels = np.arange(50.0)
    first, same, other = (
        [batch for (batch,) in itertools.islice(gan_setup.batches(pixels, seed, 64), 4)]
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    assert np.shape(first) == (4, 64)
    assert len({tuple(batch) for batch in first}) == 4


@pytest.mark.parametrize(
    ("name", "wrapper", "scale"),
    [("SSN", SpectralNorm, 2**0.5), ("BSN", BidirectionalSpectralNorm, 1.0)],
)
def test_networks_are_what_their_name_says(name, wrapper, scale):
    setting = Setting("smoke", "patches")
    images = gan_setup.images_of(setting)
    options = {**gan_setup.protocol(setting), "normalization": name, "rates": RATES, "seed": 0}
    gan = gan_setup.built(images, options)
    wrappers = [part for part in gan.discriminator.layers if isinstance(part, keras.layers.Wrapper)]
    assert len(wrappers) == 8 and all(type(part) is wrapper for part in wrappers)
    assert all(part.scale.value == pytest.approx(scale) for part in wrappers)
    assert gan.averaged_generator is None
    rates = [
        float(optimizer.learning_rate)
        for optimizer in (
            gan.optimizer.generator_optimizer,
            gan.optimizer.discriminator_optimizer,
        )
    ]
    assert rates == pytest.approx(RATES)
    again = gan_setup.built(images, options)
    assert all(map(np.array_equal, gan.get_weights(), again.get_weights()))
