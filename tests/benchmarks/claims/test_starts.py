"""The claims about starts of weight-normalized networks: what is measured, and what is said."""

import math

import pytest
from matplotlib.figure import Figure

from benchmarks.claims import (
    starts,
    starts_depth,
    starts_gap,
    starts_grid,
    starts_signals,
    starts_warm_up,
)
from benchmarks.claims.claim import Setting
from benchmarks.claims.starts_training import STARTS

GUESSING = math.log(10)


def result(part, figures, seed=0, **options):
    return {"options": {"part": part, "seed": seed} | options, "figures": figures}


def numbered(results):
    return {str(number): own for number, own in enumerate(results)}


def signal_results(kept=1.0, lost=1e-4, block=1.5, exploded=1e4, seeds=2, widths=(200, 1000)):
    """Ratios at the ends; `block` and others may be one number for each seed."""

    def ratios(value, seed):
        own = value[seed] if isinstance(value, tuple) else value
        return {"forward": [1.0, own], "backward": [own, 1.0]}

    def figures(seed):
        straight = {"robust": ratios(kept, seed), "√2": ratios(kept, seed), "1": ratios(lost, seed)}
        blocks = {"robust": ratios(block, seed), "1": ratios(exploded, seed)}
        return {
            "feed-forward": {str(width): straight for width in widths},
            "residual": {str(width): blocks for width in widths},
        }

    return numbered(result("signals", figures(seed), seed) for seed in range(seeds))


def verdicts(module, results):
    return [finding.verdict for finding in module.findings(results)]


def test_verdicts_on_signals():
    assert verdicts(starts_signals, signal_results()) == ["holds"] * 5
    wrong = signal_results(kept=3.0, lost=0.5, block=2.0, exploded=2.0)
    assert verdicts(starts_signals, wrong) == ["does not hold"] * 5
    wide = {"kept": (1.0, 2.0), "lost": (0.001, 0.02), "block": (1.4, 1.8), "exploded": (50, 500)}
    assert verdicts(starts_signals, signal_results(**wide)) == ["undecided"] * 5
    for fewer in (signal_results(seeds=1), signal_results(widths=(200,))):
        assert verdicts(starts_signals, fewer) == ["not measured yet"] * 5


def test_small_signals_are_written_with_a_power_of_ten():
    assert starts_signals._spread([1.0, 3.0]) == "2.00 ± 1.41 (2 seeds)"
    assert starts_signals._spread([1e-4, 3e-4]) == "2.00 ± 1.41 · 10^−4 (2 seeds)"
    assert starts_signals._spread([4e5]) == "4.00 · 10^5 (1 seed)"
    assert starts_signals._number(4.1e-4) == "4.1e−04"


MLP = (2, 5, 10, 20, 100, 200)


def depth_results(data_dependent, robust, network="mlp", count=2):
    """Losses at the end by depth, for each seed or all; a rate before it is lost."""

    def ends(loss, seed):
        own = loss[seed] if isinstance(loss, tuple) else loss
        return (0.1, [3.0, None], None), (0.01, [3.0, own], None if own is None else 0.5)

    def rows(seed):
        return [
            {"depth": depth, "start": start, "rate": rate, "losses": losses, "accuracy": accuracy}
            | {"features": 1.0}
            for start, own in (("data-dependent", data_dependent), ("robust", robust))
            for depth, loss in own.items()
            for rate, losses, accuracy in ends(loss, seed)
        ]

    return numbered(
        result("depth", {"classes": 10, "rows": rows(seed)}, seed, network=network)
        for seed in range(count)
    )


def by_depth(below, above, depths=MLP):
    return {depth: below if depth < 100 else above for depth in depths}


@pytest.mark.parametrize(
    ("data_dependent", "robust", "expected"),
    [
        ((0.1, None), (0.1, 1.0), ["holds"] * 4),
        ((None, 0.5), (2.3, 2.3), ["does not hold"] * 4),
        # Everything trains, and nothing.
        ((0.1, 0.1), (0.1, 0.1), ["holds", "does not hold", "holds", "holds"]),
        ((2.3, 2.3), (2.3, 2.3), ["does not hold", "holds", "does not hold", "does not hold"]),
        # One seed trains, one does not.
        (((0.1, 2.3), (0.1, None)), ((2.3, 0.1), (None, 0.1)), ["undecided"] * 4),
    ],
)
@pytest.mark.parametrize(("network", "depths"), [("mlp", MLP), ("cnn", (5, 25, 100))])
def test_verdicts_on_depth(network, depths, data_dependent, robust, expected):
    pair = by_depth(*data_dependent, depths), by_depth(*robust, depths)
    found = verdicts(starts_depth, depth_results(*pair, network))
    own, other = (found[:4], found[4:]) if network == "mlp" else (found[4:], found[:4])
    assert own == expected
    assert other == ["not measured yet"] * 4


def test_depths_that_differ_and_depths_that_are_missing():
    half = by_depth(0.1, 0.1) | {200: 2.3}
    assert verdicts(starts_depth, depth_results(half, half))[:4] == [
        "holds",
        "partly",
        "holds",
        "partly",
    ]
    absent = {depth: 0.1 for depth in MLP if depth not in (5, 200)}
    assert set(verdicts(starts_depth, depth_results(absent, absent))) == {"not measured yet"}
    alone = depth_results(by_depth(0.1, None), by_depth(0.1, 0.1), count=1)
    assert set(verdicts(starts_depth, alone)) == {"not measured yet"}


def test_what_is_said_of_depths():
    results = depth_results(by_depth(0.1, (0.1, None)), {})
    assert starts_depth.best(results, "mlp")[2, "data-dependent"][0]["rate"] == 0.01
    below, above, *rest = [finding.ours for finding in starts_depth.findings(results)]
    assert below.startswith("2 layers: 2 of 2 seeds learn, 50.0 % test; 5 layers")
    assert above.startswith("100 layers: 1 of 2 seeds learn, 1 of 2 diverged, 25.0 % test; 200")
    assert rest == ["–"] * 6
    assert "| 1 of 2 | 0.100 (1 seed) | 25.0 ± 35.4 (2 seeds) |" in starts_depth.details(results)


def grid_results(robust, data_dependent):
    """Numbers of combinations that work, of three, one for each seed."""

    def rows(start, works):
        return [
            {
                "start": start,
                "momentum": 0.9,
                "rate": 10.0**-place,
                "losses": [1.0],
                "accuracy": 0.3 if place < works else (0.1, None)[place % 2],
            }
            for place in range(3)
        ]

    pairs = zip(robust, data_dependent, strict=True)
    return numbered(
        result(
            "grid",
            {
                "classes": 10,
                "rows": rows("robust", own) + rows("data-dependent", other) + rows("default", 0),
            },
            seed,
        )
        for seed, (own, other) in enumerate(pairs)
    )


def test_verdicts_on_the_grid():
    found = starts_grid.counts(grid_results([3, 2], [1, 0]))
    assert found == {"robust": [3, 2], "data-dependent": [1, 0], "default": [0, 0]}
    assert verdicts(starts_grid, grid_results([3, 3], [1, 1])) == ["holds"]
    assert verdicts(starts_grid, grid_results([1, 1], [2, 2])) == ["does not hold"]
    assert verdicts(starts_grid, grid_results([3, 1], [1, 2])) == ["no difference"]
    assert verdicts(starts_grid, grid_results([3], [1])) == ["not measured yet"]
    (finding,) = starts_grid.findings(grid_results([3, 3], [1, 1]))
    assert finding.ours == (
        "of 24 combinations: robust 3.0 ± 0.0 (2 seeds) against data-dependent "
        "1.0 ± 0.0 (2 seeds), 2 of 6 diverged"
    )


def warm_up_results(through):
    """By start and warm-up the number of rates, of three, at which two seeds do not diverge."""
    rows = [
        {
            "start": start,
            "warm_up": warm_up,
            "rate": 0.1**place,
            "losses": [2.0, 1.0 if place < through[start][warm_up] else (5.0, None)[place % 2]],
            "accuracy": None,
        }
        for start in STARTS
        for warm_up in (False, True)
        for place in range(3)
    ]
    return numbered(result("warm-up", {"classes": 10, "rows": rows}, seed) for seed in range(2))


def test_verdicts_on_warm_up():
    better = {"robust": (2, 3), "data-dependent": (1, 2), "default": (0, 1)}
    assert verdicts(starts_warm_up, warm_up_results(better)) == ["holds", "holds"]
    same = dict.fromkeys(STARTS, (2, 2))
    assert verdicts(starts_warm_up, warm_up_results(same)) == ["no difference"] * 2
    worse = {"robust": (1, 0), "data-dependent": (2, 1), "default": (3, 2)}
    assert verdicts(starts_warm_up, warm_up_results(worse)) == ["does not hold"] * 2
    half = {"robust": (1, 2), "data-dependent": (0, 0), "default": (2, 1)}
    assert verdicts(starts_warm_up, warm_up_results(half)) == ["partly"] * 2


def gap_results(accuracies):
    """Accuracies of the seeds by variant; a second rate is better in the test only."""
    rows = []
    for variant, values in accuracies.items():
        normalization = "batch" if variant == "BN" else "weight"
        for seed, value in enumerate(values):
            own = {"variant": variant, "rate": 0.1, "validation": [0.9], "accuracy": value}
            other = {"variant": variant, "rate": 0.2, "validation": [0.8], "accuracy": 1.0}
            rows.append((normalization, seed, [own, other]))
    merged = {}
    for normalization, seed, own in rows:
        merged.setdefault((normalization, seed), []).extend(own)
    return numbered(
        result("gap", {"rows": own}, seed, normalization=normalization)
        for (normalization, seed), own in merged.items()
    )


def test_verdicts_on_the_gap():
    names = starts_gap.VARIANTS
    rising = dict(zip(names, ([0.1] * 2, [0.2] * 2, [0.3] * 2, [0.3] * 2), strict=True))
    best = starts_gap.chosen(gap_results(rising))["BN"]
    assert starts_gap.accuracies(best) == [30.0, 30.0]
    assert verdicts(starts_gap, gap_results(rising)) == ["holds"] * 3
    falling = dict(zip(names, ([0.3] * 2, [0.2] * 2, [0.1] * 2, [0.9] * 2), strict=True))
    assert verdicts(starts_gap, gap_results(falling)) == ["does not hold"] * 3
    one_seed = dict(zip(names, ([0.1], [0.2], [0.3], [0.3]), strict=True))
    found = verdicts(starts_gap, gap_results(one_seed))
    assert found == ["not measured yet"] * 3


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ((0.906, 0.894), "holds"),
        ((0.889, 0.887), "does not hold"),
        ((0.904, 0.872), "undecided"),
        ((0.8,), "not measured yet"),
        ((), "not measured yet"),
    ],
)
def test_a_gap_of_less_than_a_point_is_none(accuracies, verdict):
    results = gap_results({"WN, robust, warm-up": accuracies, "BN": (0.9, 0.9)})
    results = {
        name: own
        for name, own in results.items()
        if own["options"]["normalization"] == "batch" or own["figures"]["rows"]
    }
    for own in results.values():
        rows = own["figures"]["rows"]
        own["figures"]["rows"] = rows + [
            row | {"variant": variant}
            for row in rows
            for variant in starts_gap.VARIANTS[:2]
            if row["variant"] != "BN"
        ]
    assert verdicts(starts_gap, results)[2] == verdict


def test_what_diverged_is_the_worst_rate_and_counts_as_0():
    results = gap_results({"BN": [0.5, 0.5]})
    first, other = (results[number]["figures"]["rows"] for number in "01")
    first[0]["accuracy"] = None
    assert starts_gap.accuracies(starts_gap.chosen(results)["BN"]) == [100.0, 50.0]
    for row in other:
        row["accuracy"] = None
    assert starts_gap.accuracies(starts_gap.chosen(results)["BN"]) == [100.0, 0.0]
    ours = starts_gap.findings(results)[2].ours
    assert ours == "– against 50.0 ± 70.7 % (2 seeds), 1 of 2 diverged"


def test_nothing_measured():
    assert {finding.verdict for finding in starts.findings({})} == {"not measured yet"}
    assert {finding.ours for finding in starts.findings({})} == {"–"}
    assert len(starts.findings({})) == 19
    assert starts.details({}) == ""


@pytest.mark.parametrize(
    "results",
    [
        signal_results(),
        depth_results({20: 0.1, 200: None}, {20: 0.1, 200: 1.0}, count=1),
        grid_results([3, 2], [1, 0]),
        warm_up_results(dict.fromkeys(STARTS, (1, 2))),
        gap_results({"BN": [0.5]}),
        gap_results({"WN, robust": [0.5]} | dict.fromkeys(starts_gap.VARIANTS[::2], [0.4])),
    ],
    ids=["signals", "depth", "grid", "warm-up", "BN", "WN"],
)
def test_parts_alone(results):
    assert len(starts.findings(results)) == 19
    assert starts.details(results).count("|---") >= 1
    for part, module in starts.PARTS.items():
        panels = list(Figure().subplots(1, module.PANELS, squeeze=False).flat)
        module.draw(panels, results)
        if part == results["0"]["options"]["part"]:
            assert any(len(line.get_xdata()) for panel in panels for line in panel.lines)


def test_a_picture_of_some_parts(tmp_path):
    results = gap_results({"BN": [0.5]}) | {"signals": signal_results()["0"]}
    starts.draw(results, tmp_path / "starts.png")
    assert (tmp_path / "starts.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(("scale", "count"), [("small", 32), ("paper", 49), ("smoke", 7)])
def test_runs(scale, count):
    runs = starts.runs(Setting(scale))
    assert len({run.name for run in runs}) == len(runs) == count
    assert {run.options["part"] for run in runs} == set(starts.PARTS)
    assert all(run.seed is not None for run in runs)
    sizes = {"epochs", "batch_size", "training", "size", "width"}
    assert all(run.options.keys() >= sizes for run in runs if run.options["part"] != "signals")
    assert all({"widths", "samples", "layers"} <= run.options.keys() for run in runs[:1])
