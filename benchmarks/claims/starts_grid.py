"""At how many learning rates and momenta a weight-normalized network trains, by its start."""

import statistics
from typing import Any

import keras

from benchmarks.claims import data, spread, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_depth import mlp
from benchmarks.claims.starts_training import STARTS, Trainer

PART = "grid"
PANELS = 1
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
MOMENTA = (0.0, 0.5, 0.9)
LAYERS = 20
# Test accuracy from which a combination counts as one that works.
WORKS = 0.8


def runs(setting: Setting) -> list[Run]:
    return [Run(f"grid-seed-{seed}", {"part": PART, "seed": seed}) for seed in setting.seeds_or(3)]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Losses and test accuracy of each start at each rate and momentum."""
    smoke = setting.scale == "smoke"
    split = data.split(
        setting.dataset,
        size=setting.pick(small=8, paper=32, smoke=8),
        training=setting.pick(small=640, paper=None, smoke=128),
        smoke=smoke,
        repeat_grey=False,
    )
    keras.utils.clear_session()
    keras.utils.set_random_seed(options["seed"])
    depth, width = (2, 8) if smoke else (LAYERS, 128)
    model = mlp(split.shape, split.classes, depth, width)
    rates, momenta = (RATES[3:5], MOMENTA[-1:]) if smoke else (RATES, MOMENTA)
    epochs = setting.pick(small=12, paper=200, smoke=2)
    trainer = Trainer(model, split, setting.pick(small=64, paper=128, smoke=64), options["seed"])
    rows = []
    for momentum in momenta:
        trainer.compile(momentum)
        rows += [
            {"momentum": momentum} | trainer.train(start, rate, epochs)
            for start in STARTS
            for rate in rates
        ]
    return {"rows": rows}


def counts(results: Results) -> dict[str, list[int]]:
    """For each start the number of combinations that work, one for each seed."""
    found: dict[str, list[int]] = {start: [] for start in STARTS}
    for run in starts_training.of_part(results, PART):
        for start in STARTS:
            found[start].append(sum(_works(row) for row in run["rows"] if row["start"] == start))
    return found


def _works(row: dict[str, Any]) -> bool:
    return row["accuracy"] is not None and row["accuracy"] >= WORKS


def findings(results: Results) -> list[Finding]:
    found = counts(results)
    robust, other = found["robust"], found["data-dependent"]
    total = len(RATES) * len(MOMENTA)
    return [
        Finding(
            "The robust start trains at more learning rates and momenta than the data-dependent",
            "about 37 to 39 of about 47 combinations against about 23 (sorted runs)",
            f"{spread.spread(robust, 1)} against {spread.spread(other, 1)} of {total}"
            if robust
            else "none",
            spread.judged([spread.difference(robust, other)] if robust else []),
            f"MLP of {LAYERS} layers on 640 digits, 12 epochs; works: {100 * WORKS:.0f} % test "
            "accuracy at the end",
        )
    ]


def details(results: Results) -> str:
    runs_here = starts_training.of_part(results, PART)
    if not runs_here:
        return ""
    rows = [row for run in runs_here for row in run["rows"]]
    rates = sorted({row["rate"] for row in rows})
    lines = [
        f"Mean test accuracy in %, {len(runs_here)} seeds; what is lost counts as 0:",
        "",
        f"| start | momentum | {' | '.join(f'{rate:g}' for rate in rates)} |",
        "|---" * (len(rates) + 2) + "|",
    ]
    for start in STARTS:
        for momentum in sorted({row["momentum"] for row in rows}):
            cells = [f"{100 * _mean_accuracy(rows, start, momentum, rate):.0f}" for rate in rates]
            lines.append(f"| {start} | {momentum:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_accuracy(rows: list[dict[str, Any]], start: str, momentum: float, rate: float) -> float:
    return statistics.fmean(
        row["accuracy"] or 0.0
        for row in rows
        if (row["start"], row["momentum"], row["rate"]) == (start, momentum, rate)
    )


def draw(axes: list[Any], results: Results) -> None:
    (panel,) = axes
    for run in starts_training.of_part(results, PART):
        for color, start in enumerate(STARTS):
            own = [100 * (row["accuracy"] or 0) for row in run["rows"] if row["start"] == start]
            label = start if run["seed"] == 0 else None
            panel.plot(range(1, len(own) + 1), sorted(own, reverse=True), f"C{color}", label=label)
    panel.set_xlabel("combinations of rate and momentum, sorted")
    panel.set_title("MLP of 20 layers: test accuracy, %")
