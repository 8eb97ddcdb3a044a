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
from tfspecnorm import models
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


def test_moved_images_are_cuts_of_the_padded_ones():
    images = np.arange(2 * 3 * 3, dtype="float32").reshape(2, 3, 3, 1) + 1
    batches = starts_training._Moved(images, np.array([0, 1]), batch_size=2, shift=1)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for _ in range(5):
        ((moved, labels),) = [batches[0]]
        for place, (image, label) in enumerate(zip(moved, labels, strict=True)):
            unmirrored = image[:, ::-1] if place == 0 else image
            cuts = [padded[label, i : i + 3, j : j + 3] for i in range(3) for j in range(3)]
            assert any(np.array_equal(unmirrored, cut) for cut in cuts)
        batches.on_epoch_end()


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
    """Gains of 1 and √2 differ by √2 in each layer, forward and backward: ReLU is homogeneous."""
    sizes = starts_signals.script.SMOKE_SIGNALS
    found = starts_signals.signals("feed-forward", sizes, 0)
    layers = np.arange(1, sizes.layers + 1)
    ratio = np.divide(found["√2"]["forward"], found["1"]["forward"])
    np.testing.assert_allclose(ratio, math.sqrt(2) ** layers, rtol=1e-4)
    assert found["robust"]["backward"][-1] == 1.0
    assert set(starts_signals.signals("residual", sizes, 0)) == {"robust", "1"}


def result(part, figures, seed=0, **options):
    return {"options": {"part": part, "seed": seed} | options, "figures": figures}


def numbered(results):
    return {str(number): own for number, own in enumerate(results)}


def signal_results(kept=1.0, lost=1e-4, block=1.5, exploded=1e4):
    def ratios(value):
        return {"forward": [1.0, value], "backward": [value, 1.0]}

    figures = {
        "feed-forward": {
            "200": {"robust": ratios(kept), "√2": ratios(kept), "1": ratios(lost)},
        },
        "residual": {"200": {"robust": ratios(block), "1": ratios(exploded)}},
    }
    return numbered(result("signals", figures, seed) for seed in range(2))


def verdicts(module, results):
    return [finding.verdict for finding in module.findings(results)]


def test_verdicts_on_signals():
    assert verdicts(starts_signals, signal_results()) == ["holds"] * 5
    wrong = signal_results(kept=3.0, lost=0.5, block=2.0, exploded=2.0)
    found = verdicts(starts_signals, wrong)
    # The last layer's gradient is its own reference, and the first layer's forward ratio is 1.
    assert found == ["partly", "does not hold", "partly", "does not hold", "does not hold"]


def depth_results(data_dependent, robust, count=2):
    """Final losses by depth, at two rates of which the first is lost."""
    rows = [
        {"depth": depth, "start": start, "rate": rate, "losses": losses, "accuracy": accuracy}
        | {"features": 1.0}
        for start, own in (("data-dependent", data_dependent), ("robust", robust))
        for depth, loss in own.items()
        for rate, losses, accuracy in ((0.1, [3.0, None], None), (0.01, [3.0, loss], 0.5))
    ]
    return numbered(
        result("depth", {"classes": 10, "rows": rows}, seed, network="mlp", depths=[20, 200])
        for seed in range(count)
    )


def test_verdicts_on_depth():
    as_in_paper = depth_results({20: 0.1, 200: 1e8}, {20: 0.1, 200: 1.0})
    assert verdicts(starts_depth, as_in_paper) == ["holds", "holds"] + ["not measured yet"] * 2
    assert starts_depth.best(as_in_paper, "mlp")[200, "robust"][0]["rate"] == 0.01
    against = depth_results({20: None, 200: 0.5}, {20: 2.3, 200: 2.3})
    assert verdicts(starts_depth, against)[:2] == ["does not hold"] * 2
    half = depth_results({20: 0.1, 200: 0.1}, {20: 0.1, 200: 2.3})
    assert verdicts(starts_depth, half)[:2] == ["partly"] * 2


def grid_results(robust, data_dependent):
    """Numbers of combinations that work, of three, one for each seed."""

    def rows(start, works):
        return [
            {
                "start": start,
                "momentum": 0.9,
                "rate": 10.0**-place,
                "losses": [1.0],
                "accuracy": 0.9 if place < works else (0.5, None)[place % 2],
            }
            for place in range(3)
        ]

    pairs = zip(robust, data_dependent, strict=True)
    return numbered(
        result(
            "grid",
            {"rows": rows("robust", own) + rows("data-dependent", other) + rows("default", 0)},
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


def warm_up_results(through):
    """By start and warm-up the number of rates, of three, that two seeds get through."""
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
    assert starts_gap.accuracies(gap_results(rising))["BN"] == [30.0, 30.0]
    assert verdicts(starts_gap, gap_results(rising)) == ["holds"] * 3
    falling = dict(zip(names, ([0.3] * 2, [0.2] * 2, [0.1] * 2, [0.9] * 2), strict=True))
    assert verdicts(starts_gap, gap_results(falling)) == ["does not hold"] * 3
    one_seed = dict(zip(names, ([0.1], [0.2], [0.3], [0.3]), strict=True))
    found = verdicts(starts_gap, gap_results(one_seed))
    assert found == ["not measured yet"] * 3


def test_nothing_measured():
    assert {finding.verdict for finding in starts.findings({})} == {"not measured yet"}
    assert len(starts.findings({})) == 15
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
    assert len(starts.findings(results)) == 15
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
