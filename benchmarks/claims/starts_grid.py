"""At how many learning rates and momenta a weight-normalized network trains, by its start."""

import statistics
from typing import Any

import keras

from benchmarks.claims import data, spread, starts_images, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_depth import mlp
from benchmarks.claims.starts_training import STARTS, Trainer, diverged

PART = "grid"
PANELS = 1
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
MOMENTA = (0.0, 0.5, 0.9)
LAYERS = 20


def runs(setting: Setting) -> list[Run]:
    smoke = setting.scale == "smoke"
    options = {
        "part": PART,
        "size": setting.pick(small=8, paper=32, smoke=8),
        "training": setting.pick(small=640, paper=None, smoke=128),
        "layers": 2 if smoke else LAYERS,
        "width": 8 if smoke else 128,
        "epochs": setting.pick(small=12, paper=200, smoke=2),
        "batch_size": 128 if setting.scale == "paper" else 64,
        "rates": list(RATES[3:5] if smoke else RATES),
        "momenta": list(MOMENTA[-1:] if smoke else MOMENTA),
    }
    return [Run(f"grid-seed-{seed}", options | {"seed": seed}) for seed in setting.seeds_or(3)]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Losses and test accuracy of each start at each rate and momentum."""
    split = starts_images.images_of(setting, options)
    keras.utils.clear_session()
    keras.utils.set_random_seed(options["seed"])
    model = mlp(split.shape, split.classes, options["layers"], options["width"])
    trainer = Trainer(model, split, options["batch_size"], options["seed"])
    rows = []
    for momentum in options["momenta"]:
        trainer.compile(momentum)
        rows += [
            {"momentum": momentum} | trainer.train(start, rate, options["epochs"])
            for start in STARTS
            for rate in options["rates"]
        ]
    return {"classes": split.classes, "rows": rows}


def counts(results: Results) -> dict[str, list[int]]:
    """For each start the number of combinations that work, one for each seed."""
    found: dict[str, list[int]] = {start: [] for start in STARTS}
    for run in starts_training.of_part(results, PART):
        for start in STARTS:
            own = [row for row in run["rows"] if row["start"] == start]
            found[start].append(sum(_works(row, run["classes"]) for row in own))
    return found


def _works(row: dict[str, Any], classes: int) -> bool:
    return row["accuracy"] is not None and data.learned(row["accuracy"], classes)


def _described(results: Results, start: str, works: list[int]) -> str:
    runs_here = starts_training.of_part(results, PART)
    rows = [row for run in runs_here for row in run["rows"] if row["start"] == start]
    lost = diverged(rows)
    return f"{start} {spread.spread(works, 1)}" + f", {lost}" * bool(lost)


def findings(results: Results) -> list[Finding]:
    found = counts(results)
    pair = "robust", "data-dependent"
    total = len(RATES) * len(MOMENTA)
    texts = [_described(results, start, found[start]) for start in pair]
    return [
        Finding(
            "The robust start trains at more learning rates and momenta than the data-dependent "
            "one",
            "about 37 to 39 of about 47 combinations against about 23 (read off)",
            f"of {total} combinations: {' against '.join(texts)}" if found["robust"] else "–",
            spread.judged([spread.difference(*(found[start] for start in pair))]),
            f"MLP of {LAYERS} layers of 128 units on 640 digits, 12 epochs; a combination works if "
            "the test accuracy at the end is at least twice that of guessing",
        )
    ]


def details(results: Results) -> str:
    runs_here = starts_training.of_part(results, PART)
    if not runs_here:
        return ""
    rows = [row for run in runs_here for row in run["rows"]]
    rates = sorted({row["rate"] for row in rows})
    lines = [
        f"Mean test accuracy in %, {len(runs_here)} seeds; what diverged counts as 0:",
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
