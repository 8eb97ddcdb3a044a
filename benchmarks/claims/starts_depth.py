"""How deep a weight-normalized network can be, by its start."""

import statistics
from typing import Any

import keras
import numpy as np

from benchmarks.claims import data, spread, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_training import STARTS, Trainer, final_loss, learned
from tfspecnorm import models
from tfspecnorm.layers import WeightNorm

PART = "depth"
PANELS = 2
# Depths that share a run, and number of seeds.
GROUPS = {
    "mlp": (((2, 5, 10, 20), 3), ((100,), 3), ((200,), 2)),
    "cnn": (((5, 25), 3), ((100,), 2)),
}
# From which depth on the data-dependent start fails.
_DEEP = 100
# For networks below and from that depth on.
RATES = {
    "mlp": ((0.003, 0.01, 0.03), (0.0003, 0.001, 0.003)),
    "cnn": ((0.01, 0.03, 0.1), (0.003, 0.03, 0.3)),
}
_NETWORKS = {
    "mlp": "layers of 128 units, 640 digits, 60 epochs of 5 steps",
    # Zeros at the borders take size from the signal in each layer, and few channels more of it.
    "cnn": "16 channels (zero padding of maps of 8×8), 256 digits of 32×32, 25 epochs of 8 steps",
}
_PAPER = {
    "mlp": (
        "MNIST: trains to depth 20 (about 98 %), fails at 100 and 200",
        "MNIST: trains at 200 (about 96 to 97 %)",
    ),
    "cnn": (
        "CIFAR-10: trains at 5 and 25 (about 84 to 86 %), fails at 100",
        "CIFAR-10: 100 layers about 81 %",
    ),
}


def runs(setting: Setting) -> list[Run]:
    found = []
    for network, groups in GROUPS.items():
        for depths, count in groups:
            own = (2, 4) if setting.scale == "smoke" else depths
            title = "-".join(map(str, own))
            seeds = setting.seeds_or(3 if setting.scale == "paper" else count)
            found += [
                Run(
                    f"{network}-{title}-seed-{seed}",
                    {"part": PART, "network": network, "depths": list(own), "seed": seed},
                )
                for seed in seeds
            ]
            if setting.scale == "smoke":
                break
    return found


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Training from each start at each rate: losses of the epochs, and test accuracy."""
    network, smoke = options["network"], setting.scale == "smoke"
    small_size = 8 if network == "mlp" else 32
    split = data.split(
        setting.dataset,
        size=setting.pick(small=small_size, paper=32, smoke=8),
        training=setting.pick(small=640 if network == "mlp" else 256, paper=None, smoke=128),
        smoke=smoke,
        repeat_grey=False,
    )
    epochs = setting.pick(small=60 if network == "mlp" else 25, paper=200, smoke=2)
    batch_size = setting.pick(small=128 if network == "mlp" else 32, paper=128, smoke=64)
    rows = []
    for depth in options["depths"]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(options["seed"])
        width = setting.pick(small=128 if network == "mlp" else 16, paper=128, smoke=8)
        build = mlp if network == "mlp" else cnn
        model = build(split.shape, split.classes, depth, width)
        trainer = Trainer(model, split, batch_size, options["seed"])
        rates = RATES[network][depth >= _DEEP][: 1 if smoke else None]
        for start in STARTS:
            size = features(trainer, start)
            rows += [
                {"depth": depth, "features": size} | trainer.train(start, rate, epochs)
                for rate in rates
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
            learns = learned(row, run["classes"])
            found.setdefault(key, []).append(row | {"learned": learns})
    return dict(sorted(found.items(), key=lambda item: (item[0][0], STARTS.index(item[0][1]))))


def _loss_or_infinity(row: dict[str, Any]) -> float:
    loss = final_loss(row)
    return float("inf") if loss is None else loss


def findings(results: Results) -> list[Finding]:
    rows = []
    for network, (paper_data, paper_robust) in _PAPER.items():
        found = best(results, network)
        title = network.upper()
        differs = (
            f"{_NETWORKS[network]}, best of three rates; a network that ends below 0.9 of the "
            "loss of guessing has trained"
        )
        for start, paper, claim in (
            ("data-dependent", paper_data, f"trains below {_DEEP} layers and fails from there on"),
            ("robust", paper_robust, "trains at every depth"),
        ):
            own = {depth: rows for (depth, name), rows in found.items() if name == start}
            verdict = spread.judged(
                [
                    _sign(row["learned"], start == "robust" or depth < _DEEP)
                    for depth, rows in own.items()
                    for row in rows
                ]
            )
            ours = "; ".join(f"{depth} layers: {_described(rows)}" for depth, rows in own.items())
            rows.append(
                Finding(f"{title}, {start} start: {claim}", paper, ours or "none", verdict, differs)
            )
    return rows


def _sign(learns: bool, expected: bool) -> int:
    return 1 if learns == expected else -1


def _described(rows: list[dict[str, Any]]) -> str:
    learned_rows = [row for row in rows if row["learned"]]
    count = f"{len(learned_rows)} of {len(rows)} seeds train"
    if not learned_rows:
        return count
    accuracy = statistics.fmean(100 * row["accuracy"] for row in learned_rows)
    return f"{count}, {accuracy:.1f} % test"


def details(results: Results) -> str:
    lines = [
        "| network | layers | start | input of the head at the start | seeds that train | rate "
        "| training loss at the end | test accuracy, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    head = len(lines)
    for network in GROUPS:
        for (depth, start), rows in best(results, network).items():
            losses = [loss for loss in map(final_loss, rows) if loss is not None]
            accuracies = [100 * row["accuracy"] for row in rows if row["accuracy"] is not None]
            rates = ", ".join(f"{row['rate']:g}" for row in rows)
            learns = f"{sum(row['learned'] for row in rows)} of {len(rows)}"
            large = losses and max(losses) > 1000
            loss = f"{statistics.fmean(losses):.1e}" if large else spread.spread(losses, 3)
            accuracy = spread.spread(accuracies, 1)
            sizes = [row["features"] for row in rows if row["features"] is not None]
            size = f"{statistics.fmean(sizes):.2g}" if sizes else "none"
            cells = [network.upper(), str(depth), start, size, learns, rates, loss, accuracy]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > head else ""


def draw(axes: list[Any], results: Results) -> None:
    for panel, network in zip(axes, GROUPS, strict=True):
        found = best(results, network)
        for color, start in enumerate(STARTS):
            own = {depth: rows for (depth, name), rows in found.items() if name == start}
            # A network that is lost guesses nothing right.
            means = [
                100 * statistics.fmean(row["accuracy"] or 0.0 for row in rows)
                for rows in own.values()
            ]
            panel.plot(list(own), means, f"C{color}o-", label=start)
        panel.set_xscale("log")
        panel.set_xlabel("layers")
        panel.set_title(f"{network.upper()}: test accuracy, %")
