"""The claims about starts of weight-normalized networks: what is measured, and what is said."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.claims import (
    starts,
    starts_depth,
    starts_gap,
    starts_grid,
    starts_signals,
    starts_training,
    starts_warm_up,
)
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split
from benchmarks.claims.starts_training import STARTS, Trainer
from tests import tools
from tfspecnorm import initializers, models
from tfspecnorm.layers import WeightNorm

GUESSING = math.log(10)


def small_split(seed=0, count=160):
    """Images of two classes, told apart by their mean."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype("int32")
    images = random.standard_normal((count, 4, 4, 1)).astype("float32")
    images += 2.0 * labels[:, None, None, None] - 1
    parts = [(images[part], labels[part]) for part in (slice(96), slice(96, 128), slice(128, None))]
    return Split(*parts, (4, 4, 1), 2)


@pytest.fixture(scope="module")
def trainer():
    keras.utils.set_random_seed(3)
    split = small_split()
    return Trainer(starts_depth.mlp(split.shape, 2, 2, 8), split, batch_size=32, seed=1)


def wrapped(model):
    return [layer for layer in model.layers if isinstance(layer, WeightNorm)]


def kernels(model):
    return [tools.array(layer.effective_kernels()["kernel"]) for layer in wrapped(model)]


def test_starts(trainer):
    heads, used = [], {}
    for start in STARTS:
        trainer.start(start)
        used[start] = kernels(trainer.model)
        heads.append(tools.array(trainer.model.get_layer("head").kernel))
    np.testing.assert_array_equal(heads[0], heads[1])
    np.testing.assert_array_equal(heads[0], heads[2])
    # g = √(2 · 16 / 8) on orthonormal columns, and √2 where both sides are equal.
    np.testing.assert_allclose(used["robust"][0].T @ used["robust"][0], 4 * np.eye(8), atol=1e-5)
    np.testing.assert_allclose(used["robust"][1].T @ used["robust"][1], 2 * np.eye(8), atol=1e-5)
    outputs = trainer.split.training[0].reshape(96, 16) @ used["data-dependent"][0]
    np.testing.assert_allclose(outputs.std(axis=0), 1, atol=1e-5)
    lengths = [np.linalg.norm(kernel, axis=0) for kernel in used["default"]]
    bound = math.sqrt(6 / (16 + 8))
    assert np.abs(used["default"][0]).max() <= bound
    trainer.start("default")
    for layer, length in zip(wrapped(trainer.model), lengths, strict=True):
        np.testing.assert_allclose(tools.array(layer.gains()["kernel"]), length, rtol=1e-5)


def test_size_of_the_input_of_the_head(trainer):
    """Data of another start is left behind: the length is that of the start that was named."""
    trainer.train("default", 0.05, 1)
    first, second = (layer.layer for layer in wrapped(trainer.model))
    found = starts_depth.features(trainer, "robust")
    hidden = trainer.split.training[0][:32].reshape(32, 16)
    for kernel in kernels(trainer.model):
        hidden = np.maximum(hidden @ kernel, 0)
    assert not np.any(tools.array(first.bias)) and not np.any(tools.array(second.bias))
    assert found == pytest.approx(np.linalg.norm(hidden, axis=1).mean(), rel=1e-5)


def test_every_training_begins_anew(trainer):
    first = trainer.train("robust", 0.05, 3)
    other = trainer.train("default", 0.05, 3)
    assert trainer.train("robust", 0.05, 3) == first
    assert other["losses"] != first["losses"]
    assert first["accuracy"] > 0.8
    assert starts_training.learned(first, 2)
    assert starts_training.diverged([first, other]) == ""


def test_the_first_step_against_numpy(trainer):
    """Logistic regression by hand: hidden layers are the features of the head."""
    trainer.start("robust")
    images, labels = trainer.split.training
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(trainer.model(images)))
    expected = -np.log(probabilities[np.arange(96), labels]).mean()
    whole = Trainer(trainer.model, trainer.split, batch_size=96, seed=1)
    # The rate of a warm-up is 0 in its first step, so the second sees the same network.
    losses = whole.train("default", 0.1, 2, warm_up=5)["losses"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    whole._starts["robust"] = trainer._starts["robust"]
    assert whole.train("robust", 0.1, 1)["losses"][0] == pytest.approx(expected, rel=1e-5)


def test_a_lost_network_ends_early(trainer):
    row = trainer.train("robust", 1e6, 20)
    assert len(row["losses"]) <= 3
    assert row["accuracy"] is None
    assert not starts_training.learned(row, 2)
    assert starts_training.diverged([row, row | {"accuracy": 0.5}]) == "1 of 2 diverged"


def test_what_diverges_in_the_end_is_not_tested(trainer, monkeypatch):
    monkeypatch.setattr(starts_training, "_LOST", 0.0)
    row = trainer.train("robust", 0.05, 5, select=True)
    assert len(row["losses"]) == 3
    assert max(row["validation"]) > 0.7
    assert row["accuracy"] is None


@pytest.mark.parametrize(
    ("losses", "stops", "lost"),
    [
        ([3.0] * 20, False, False),
        ([2.31] * 21, True, False),
        # A hundredth less than before, or less than guessing, is progress.
        ([3.0] * 20 + [2.9], False, False),
        ([2.2] * 30, False, False),
        ([1e9, 1e9], False, False),
        ([1e9, 1e9, 1e9], True, True),
        ([1.0, math.nan], True, True),
    ],
)
def test_when_a_training_ends(losses, stops, lost):
    watch = starts_training._Watch(GUESSING)
    watch.set_model(keras.Sequential())
    watch.model.stop_training = False
    for epoch, loss in enumerate(losses):
        watch.on_epoch_end(epoch, {"loss": loss})
    assert (watch.model.stop_training, watch.lost) == (stops, lost)


def test_the_epoch_best_in_validation_is_tested(trainer):
    row = trainer.train("robust", 0.05, 3, select=True)
    assert len(row["validation"]) == 3
    assert trainer.accuracy(*trainer.split.validation) == max(row["validation"])
    assert trainer.accuracy(*trainer.split.test) == row["accuracy"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_moved_images_are_cuts_of_the_padded_ones(mirrored):
    images = np.arange(2 * 3 * 3, dtype="float32").reshape(2, 3, 3, 1) + 1
    parts = [(images, np.array([0, 1]))] * 3
    split = Split(*parts, (3, 3, 1), 2, mirrored=mirrored)
    batches = starts_training._Moved(split, batch_size=2, shift=1, seed=0)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    found = []
    for _ in range(10):
        ((moved, labels),) = [batches[0]]
        assert sorted(labels) == [0, 1]
        for image, label in zip(moved, labels, strict=True):
            cuts = [padded[label, i : i + 3, j : j + 3] for i in range(3) for j in range(3)]
            as_it_is = any(np.array_equal(image, cut) for cut in cuts)
            found.append(as_it_is)
            assert as_it_is or any(np.array_equal(image[:, ::-1], cut) for cut in cuts)
        batches.on_epoch_end()
    assert all(found) != mirrored


def test_training_on_moved_images_is_repeatable(trainer):
    first = trainer.train("robust", 0.05, 2, shift=1)
    assert trainer.train("robust", 0.05, 2, shift=1) == first
    assert trainer.train("robust", 0.05, 2)["losses"] != first["losses"]


def test_size_of_the_input_of_the_head_of_a_convolutional_network():
    split = small_split()
    trainer = Trainer(starts_depth.cnn(split.shape, 2, depth=2, width=4), split, 32, seed=0)
    found = starts_depth.features(trainer, "robust")
    hidden = split.training[0][:32]
    for layer in trainer.model.layers[:-1]:
        hidden = layer(hidden)
    assert found == pytest.approx(np.linalg.norm(tools.array(hidden), axis=1).mean(), rel=1e-5)


def test_a_convolutional_network_has_the_layers_of_the_paper():
    model = starts_depth.cnn((32, 32, 1), 10, depth=4, width=6)
    shapes = [layer.output.shape[1:] for layer in model.layers]
    assert shapes == [(16, 16, 6), (8, 8, 6), (8, 8, 6), (8, 8, 6), (6,), (10,)]
    assert len(wrapped(model)) == 4


def test_residual_networks_get_the_start_of_their_blocks():
    model = models.resnet((8, 8, 1), depth=14, width=0.25)
    split = dataclasses.replace(small_split(), shape=(8, 8, 1), classes=10)
    Trainer(model, split, 32, seed=0).start("robust")
    gains = {layer.layer.name: tools.array(layer.gains()["kernel"]) for layer in wrapped(model)}
    # Two blocks in each stage.
    np.testing.assert_allclose(gains["stage1_block1_conv2"], math.sqrt(1 / 2), rtol=1e-6)
    np.testing.assert_allclose(gains["stage1_block1_conv1"], math.sqrt(2), rtol=1e-6)


def test_signals_of_gains():
    """Those of √2 follow from those of 1: they are what a network with gains of √2 has."""
    sizes, seed = starts_signals.script.SMOKE_SIGNALS, 0
    found = starts_signals.signals("feed-forward", sizes, seed)
    assert found["robust"]["backward"][-1] == 1.0
    keras.utils.clear_session()
    random = np.random.default_rng(seed)
    model = starts_signals.script.feed_forward(sizes, random)
    inputs = random.standard_normal((sizes.samples, sizes.inputs)).astype("float32")
    initializers.robust(model, seed=seed)
    # The gradient at the top is the second that is drawn.
    starts_signals.script.signal_ratios(model, inputs, random)
    for layer in wrapped(model):
        gain = layer.gains()["kernel"]
        gain.assign(np.full(gain.shape, math.sqrt(2)))
    measured = starts_signals.script.signal_ratios(model, inputs, random)
    for way, ratios in measured.items():
        np.testing.assert_allclose(found["√2"][way], ratios, rtol=1e-4)
    assert set(starts_signals.signals("residual", sizes, seed)) == {"robust", "1"}


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
    assert below.startswith("2 layers: 2 of 2 seeds train, 50.0 % test; 5 layers")
    assert above.startswith("100 layers: 1 of 2 seeds train, 1 of 2 diverged, 25.0 % test; 200")
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
