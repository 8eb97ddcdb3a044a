"""Whether residual networks diverge in the first epochs, by start, learning rate and warm-up."""

import math
from typing import Any

import keras

from benchmarks.claims import spread, starts_images, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_training import MOMENTUM, STARTS, Trainer, final_loss
from tfspecnorm import models

PART = "warm-up"
PANELS = 1
RATES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.2)
EPOCHS = 3
_WAYS = (False, True)


def runs(setting: Setting) -> list[Run]:
    smoke, paper = setting.scale == "smoke", setting.scale == "paper"
    options = {
        "part": PART,
        "size": 32 if paper else 8,
        "training": setting.pick(small=1024, paper=None, smoke=64),
        "width": 1.0 if paper else 0.5,
        "depth": 10 if smoke else 40,
        "widening": 10 if paper else 1,
        "epochs": EPOCHS,
        "warm_up_epochs": 1,
        "batch_size": 128 if paper else 32,
        "momentum": MOMENTUM,
        "rates": list(RATES[:1] if smoke else RATES),
    }
    seeds = setting.seeds_or(20 if paper else 5)
    return [Run(f"warm-up-seed-{seed}", options | {"seed": seed}) for seed in seeds]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Losses of the first epochs of each start at each rate, without and with warm-up."""
    split = starts_images.images_of(setting, options)
    keras.utils.clear_session()
    keras.utils.set_random_seed(options["seed"])
    model = models.wide_resnet(
        split.shape,
        split.classes,
        "weight",
        width=options["width"],
        depth=options["depth"],
        widening=options["widening"],
    )
    batch_size, epochs = options["batch_size"], options["epochs"]
    trainer = Trainer(model, split, batch_size, options["seed"], options["momentum"])
    steps = options["warm_up_epochs"] * -(-len(split.training[0]) // batch_size)
    rows = [
        {"warm_up": warm_up} | trainer.train(start, rate, epochs, warm_up=warm_up * steps)
        for start in STARTS
        for warm_up in _WAYS
        for rate in options["rates"]
    ]
    return {"classes": split.classes, "rows": rows}


def survivors(results: Results) -> dict[tuple[str, bool], dict[float, list[bool]]]:
    """By start and warm-up, for each rate whether the seeds have not diverged."""
    found: dict[tuple[str, bool], dict[float, list[bool]]] = {
        (start, warm_up): {} for start in STARTS for warm_up in _WAYS
    }
    for run in starts_training.of_part(results, PART):
        for row in run["rows"]:
            own = found[row["start"], row["warm_up"]].setdefault(row["rate"], [])
            own.append(_has_not_diverged(row, run["classes"]))
    return found


def _has_not_diverged(row: dict[str, Any], classes: int) -> bool:
    # A small rate that warms up has not learned much in three epochs: less than guessing will do.
    loss = final_loss(row)
    return loss is not None and loss < math.log(classes)


def numbers_of_rates(found: dict[float, list[bool]]) -> list[int]:
    """For each seed the number of rates at which it has not diverged."""
    return [sum(seed) for seed in zip(*found.values(), strict=True)]


def findings(results: Results) -> list[Finding]:
    found = survivors(results)
    counts = {key: numbers_of_rates(rates) for key, rates in found.items()}
    with_warm_up = [spread.difference(counts[s, True], counts[s, False]) for s in STARTS]
    others = STARTS[1:]
    start = [spread.difference(counts["robust", False], counts[s, False]) for s in others]
    differs = (
        f"WRN-40 of 8, 16, 32 filters on 1,024 digits of 8×8 pixels, {EPOCHS} epochs, momentum "
        f"{MOMENTUM:g}, warm-up over the first epoch; {RATES[-1]:g}, a rate that the paper has "
        "not, too; a run has not diverged if its last loss is below that of guessing"
    )
    pairs = "; ".join(
        f"{s} {spread.spread(counts[s, False], 1)} → {spread.spread(counts[s, True], 1)}"
        for s in STARTS
    )
    alone = "; ".join(f"{s} {spread.spread(counts[s, False], 1)}" for s in STARTS)
    head = f"rates at which a seed has not diverged, of {len(RATES)}"
    measured = any(counts.values())
    return [
        Finding(
            "With warm-up fewer runs diverge in the first epochs",
            "WRN-40-10, CIFAR-10, share of seeds not diverged at rates .001 / .005 / .01 / .05 / "
            ".1 (read off): robust 100/100/100/80/0 % → 100/100/100/100/90 %; data-dependent "
            "100/0/0/0/0 % → 100/100/95/15/5 %; default 0 % everywhere → 100/100/100/80/20 %",
            f"{head}: {pairs}" if measured else "–",
            spread.judged(with_warm_up),
            differs,
        ),
        Finding(
            "Without warm-up the robust start survives at more of the rates than the others",
            "WRN-40-10, CIFAR-10, share of seeds not diverged at rates .001 / .005 / .01 / .05 / "
            ".1 (read off): robust 100/100/100/80/0 %, data-dependent 100/0/0/0/0 %, default 0 % "
            "everywhere",
            f"{head}: {alone}" if measured else "–",
            spread.judged(start),
            differs,
        ),
    ]


def details(results: Results) -> str:
    found = survivors(results)
    rates = sorted({rate for own in found.values() for rate in own})
    if not rates:
        return ""
    count = len(found["robust", False][rates[0]])
    lines = [
        f"Share in % of {count} seeds that have not diverged after {EPOCHS} epochs:",
        "",
        f"| start | warm-up | {' | '.join(f'{rate:g}' for rate in rates)} |",
        "|---" * (len(rates) + 2) + "|",
    ]
    for (start, warm_up), own in found.items():
        cells = [f"{_percent(own[rate]):.0f}" for rate in rates]
        lines.append(f"| {start} | {'yes' if warm_up else 'no'} | {' | '.join(cells)} |")
    slow = [f"{start} {_accuracy(results, start, rates[0])}" for start in STARTS]
    lines += ["", f"Test accuracy at the rate {rates[0]:g} without warm-up: {', '.join(slow)}."]
    return "\n".join(lines)


def _accuracy(results: Results, start: str, rate: float) -> str:
    rows = [row for run in starts_training.of_part(results, PART) for row in run["rows"]]
    own = [row for row in rows if (row["start"], row["rate"]) == (start, rate)]
    values = [100 * (row["accuracy"] or 0.0) for row in own if not row["warm_up"]]
    return spread.spread(values, 1, " %")


def _percent(values: list[bool]) -> float:
    return 100 * sum(values) / len(values)


def draw(axes: list[Any], results: Results) -> None:
    (panel,) = axes
    for (start, warm_up), own in survivors(results).items():
        style = "o-" if warm_up else "o:"
        label = f"{start}{', warm-up' if warm_up else ''}"
        shares = [_percent(values) for values in own.values()]
        panel.plot(list(own), shares, f"C{STARTS.index(start)}{style}", label=label)
    panel.set_xscale("log")
    panel.set_xlabel("learning rate")
    panel.set_title("WRN-40: % of seeds not diverged")
