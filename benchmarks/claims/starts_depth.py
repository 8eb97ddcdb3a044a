"""How deep a weight-normalized network can be, by its start."""

import math
import statistics
from typing import Any

import keras
import numpy as np

from benchmarks.claims import spread, starts_images, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_training import MOMENTUM, STARTS, Trainer, diverged, learned
from tfspecnorm import models
from tfspecnorm.layers import WeightNorm

PART = "depth"
PANELS = 2
# Depths that share a run, and number of seeds.
GROUPS = {
    "mlp": (((2, 5, 10, 20), 3), ((100,), 3), ((200,), 2)),
    "cnn": (((5, 25), 3), ((100,), 2)),
}
# From which depth on the data-dependent start fails; a run is all below it, or all not.
_DEEP = 100
# For networks below and from that depth on.
RATES = {
    "mlp": ((0.003, 0.01, 0.03), (0.0003, 0.001, 0.003)),
    "cnn": ((0.0003, 0.001, 0.003), (0.0003, 0.001, 0.003)),
}
_NETWORKS = {
    "mlp": "layers of 128 units, 640 digits of 8×8 pixels, at most 60 epochs of 5 steps",
    "cnn": "32 channels, 256 digits of 32×32 pixels, at most 120 epochs of 8 steps",
}
_WEAK = (
    "; little of the signal reaches the head through 100 layers (table below), probably because "
    "zero padding takes some at the borders of the 8×8 maps in every layer"
)
# By network and start: below 100 layers, and from there on.
_PAPER = {
    ("mlp", "data-dependent"): (
        "MNIST: trains to depth 20 (about 98 %)",
        "MNIST: fails at 100 and 200 layers (diverged)",
    ),
    ("mlp", "robust"): ("not verified", "MNIST: trains at 200 layers (about 96 to 97 %)"),
    ("cnn", "data-dependent"): (
        "CIFAR-10: trains at 5 and 25 layers (about 84 to 86 %)",
        "CIFAR-10: fails at 100 layers",
    ),
    ("cnn", "robust"): ("not verified", "CIFAR-10: trains at 100 layers (about 81 %)"),
}


def runs(setting: Setting) -> list[Run]:
    found = []
    for network, groups in GROUPS.items():
        for depths, count in groups[: 1 if setting.scale == "smoke" else None]:
            options = _options(setting, network, depths)
            title = "-".join(map(str, options["depths"]))
            found += [
                Run(f"{network}-{title}-seed-{seed}", options | {"seed": seed})
                for seed in setting.seeds_or(3 if setting.scale == "paper" else count)
            ]
    return found


def _options(setting: Setting, network: str, depths: tuple[int, ...]) -> dict[str, Any]:
    dense, smoke = network == "mlp", setting.scale == "smoke"
    rates = RATES[network][depths[0] >= _DEEP]
    return {
        "part": PART,
        "network": network,
        "depths": [2, 4] if smoke else list(depths),
        "width": setting.pick(small=128 if dense else 32, paper=128, smoke=8),
        "size": setting.pick(small=8 if dense else 32, paper=32, smoke=8),
        "training": setting.pick(small=640 if dense else 256, paper=None, smoke=128),
        "epochs": setting.pick(small=60 if dense else 120, paper=200, smoke=2),
        "batch_size": setting.pick(small=128 if dense else 32, paper=128, smoke=64),
        "momentum": MOMENTUM,
        "rates": list(rates[: 1 if smoke else None]),
    }


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Training from each start at each rate: losses of the epochs, and test accuracy."""
    split = starts_images.images_of(setting, options)
    rows = []
    for depth in options["depths"]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(options["seed"])
        build = mlp if options["network"] == "mlp" else cnn
        model = build(split.shape, split.classes, depth, options["width"])
        trainer = Trainer(model, split, options["batch_size"], options["seed"], options["momentum"])
        for start in STARTS:
            size = features(trainer, start)
            rows += [
                {"depth": depth, "features": size} | trainer.train(start, rate, options["epochs"])
                for rate in options["rates"]
            ]
    return {"classes": split.classes, "rows": rows}


def mlp(shape: tuple[int, ...], classes: int, depth: int, width: int) -> keras.Model:
    """Hidden layers of one size."""
    return models.mlp(shape, classes, "weight", depth=depth, units=width)


def cnn(shape: tuple[int, ...], classes: int, depth: int, width: int) -> keras.Model:
    """3×3 convolutions, stride 2 in the first two, mean over positions, plain head."""
    hidden = [
        WeightNorm(
            keras.layers.Conv2D(
                width, 3, strides=2 if number < 2 else 1, padding="same", activation="relu"
            )
        )
        for number in range(depth)
    ]
    ends = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input(shape), *hidden, *ends])


def features(trainer: Trainer, start: str) -> float:
    """Mean length of what the head sees at the start, of the first batch."""
    trainer.start(start)
    model = trainer.model
    images = trainer.split.training[0][: trainer.batch_size]
    outputs = keras.Model(model.inputs[0], model.layers[-1].input)(images, training=False)
    lengths = np.linalg.norm(keras.ops.convert_to_numpy(outputs), axis=-1)
    return float(lengths.mean())


def best(results: Results, network: str) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """By depth and start, for each seed the row of the rate with the least loss at the end."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for run in starts_training.of_part(results, PART):
        if run["network"] != network:
            continue
        kinds = sorted({(row["depth"], STARTS.index(row["start"])) for row in run["rows"]})
        for depth, place in kinds:
            key = depth, STARTS[place]
            rows = [row for row in run["rows"] if (row["depth"], row["start"]) == key]
            row = min(rows, key=_loss_or_infinity)
            found.setdefault(key, []).append(row | {"learned": learned(row, run["classes"])})
    return dict(sorted(found.items(), key=lambda item: (item[0][0], STARTS.index(item[0][1]))))


def _loss_or_infinity(row: dict[str, Any]) -> float:
    loss = starts_training.final_loss(row)
    return math.inf if loss is None else loss


def findings(results: Results) -> list[Finding]:
    answers = []
    for (network, start), papers in _PAPER.items():
        found = best(results, network)
        depths = [depth for group, _ in GROUPS[network] for depth in group]
        shallow = [depth for depth in depths if depth < _DEEP]
        deep = [depth for depth in depths if depth >= _DEEP]
        numbers = f"{' and '.join(map(str, deep))} layers"
        last = f"learns at {numbers}" if start == "robust" else f"fails at {numbers}"
        for own, trains, paper, claim in (
            (shallow, True, papers[0], f"learns below {_DEEP} layers"),
            (deep, start == "robust", papers[1], last),
        ):
            rows = {depth: found.get((depth, start), []) for depth in own}
            signs = [_sign(of_depth, trains) for of_depth in rows.values()]
            texts = [f"{depth} layers: {_described(rows[depth])}" for depth in own if rows[depth]]
            answers.append(
                Finding(
                    f"{network.upper()}, {start} start: {claim}",
                    paper,
                    "; ".join(texts) or "–",
                    spread.judged(signs, even="undecided"),
                    _differs(network) + _WEAK * (network == "cnn" and start == "robust"),
                )
            )
    return answers


def _differs(network: str) -> str:
    below, above = (", ".join(f"{rate:g}" for rate in rates) for rates in RATES[network])
    rates = f"{below} below {_DEEP} layers and of {above} from there on"
    if below == above:
        rates = below
    return (
        f"{_NETWORKS[network]}; for each seed the one of three rates with the least training loss "
        f"at the end, of {rates}, and no smaller or larger ones; a network whose training loss "
        "ends below 0.9 of that of guessing has learned, however far it is from the paper's "
        "accuracy; a depth counts if all seeds agree"
    )


def _sign(rows: list[dict[str, Any]], trains: bool) -> int | None:
    """Whether all seeds agree with the claim, none, or some."""
    agree = [row["learned"] == trains for row in rows]
    if len(agree) < 2:
        return None
    return 1 if all(agree) else 0 if any(agree) else -1


def _described(rows: list[dict[str, Any]]) -> str:
    parts = [f"{sum(row['learned'] for row in rows)} of {len(rows)} seeds learn", diverged(rows)]
    accuracy = statistics.fmean(100 * (row["accuracy"] or 0.0) for row in rows)
    return ", ".join([*(part for part in parts if part), f"{accuracy:.1f} % test"])


def details(results: Results) -> str:
    lines = [
        "| network | layers | start | mean length of the head's input at the start "
        "| seeds that learn | rate | epochs | diverged | training loss at the end, of the others "
        "| test accuracy, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    head = len(lines)
    for network in GROUPS:
        for (depth, start), rows in best(results, network).items():
            losses = [row["losses"][-1] for row in rows if row["accuracy"] is not None]
            # What diverged gets nothing right.
            accuracies = [100 * (row["accuracy"] or 0.0) for row in rows]
            # Of rates that all diverge none is the best.
            rates = ", ".join(
                "–" if row["accuracy"] is None else f"{row['rate']:g}" for row in rows
            )
            epochs = ", ".join(str(len(row["losses"])) for row in rows)
            learns = f"{sum(row['learned'] for row in rows)} of {len(rows)}"
            lost = f"{len(rows) - len(losses)} of {len(rows)}"
            loss = spread.spread(losses, 3) if losses else "–"
            accuracy = spread.spread(accuracies, 1)
            sizes = [row["features"] for row in rows if row["features"] is not None]
            size = f"{statistics.fmean(sizes):.2g}" if sizes else "–"
            cells = [network.upper(), str(depth), start, size, learns, rates, epochs]
            cells += [lost, loss, accuracy]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > head else ""


def draw(axes: list[Any], results: Results) -> None:
    for panel, network in zip(axes, GROUPS, strict=True):
        found = best(results, network)
        for color, start in enumerate(STARTS):
            own = {depth: rows for (depth, name), rows in found.items() if name == start}
            means = [
                100 * statistics.fmean(row["accuracy"] or 0.0 for row in rows)
                for rows in own.values()
            ]
            panel.plot(list(own), means, f"C{color}o-", label=start)
        panel.set_xscale("log")
        panel.set_xlabel("layers")
        panel.set_title(f"{network.upper()}: test accuracy, %")
