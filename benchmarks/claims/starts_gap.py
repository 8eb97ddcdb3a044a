"""How far weight normalization stays behind batch normalization in residual networks."""

from typing import Any

import keras

from benchmarks.claims import spread, starts_images, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_training import MOMENTUM, Trainer, diverged
from tfspecnorm import models

PART = "gap"
PANELS = 1
DATA_DEPENDENT, ROBUST = "WN, data-dependent", "WN, robust"
WARM_UP, BATCH = "WN, robust, warm-up", "BN"
VARIANTS = (DATA_DEPENDENT, ROBUST, WARM_UP, BATCH)
RATES = (0.003, 0.01, 0.03, 0.1)
# Points of accuracy that count as no gap.
MARGIN = 1.0
_OF_NETWORK = {
    "weight": {
        DATA_DEPENDENT: ("data-dependent", False),
        ROBUST: ("robust", False),
        WARM_UP: ("robust", True),
    },
    "batch": {BATCH: ("default", False)},
}


def runs(setting: Setting) -> list[Run]:
    smoke, paper = setting.scale == "smoke", setting.scale == "paper"
    options = {
        "part": PART,
        "size": setting.pick(small=16, paper=32, smoke=8),
        "training": setting.pick(small=320, paper=None, smoke=64),
        "width": 1.0 if paper else 0.5,
        "depth": setting.pick(small=20, paper=56, smoke=8),
        "epochs": setting.pick(small=30, paper=200, smoke=2),
        "warm_up_epochs": setting.pick(small=3, paper=5, smoke=1),
        "batch_size": 128 if paper else 32,
        "momentum": MOMENTUM,
        "shift": 4 if paper else 0,
        "rates": list(RATES[:1] if smoke else RATES),
    }
    return [
        Run(
            f"gap-{normalization}-seed-{seed}",
            options | {"normalization": normalization, "seed": seed},
        )
        for normalization in _OF_NETWORK
        for seed in setting.seeds_or(3)
    ]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Losses, validation and test accuracy of each variant of a network at each rate."""
    split = starts_images.images_of(setting, options)
    keras.utils.clear_session()
    keras.utils.set_random_seed(options["seed"])
    model = models.resnet(
        split.shape,
        split.classes,
        options["normalization"],
        width=options["width"],
        depth=options["depth"],
    )
    batch_size = options["batch_size"]
    trainer = Trainer(model, split, batch_size, options["seed"], options["momentum"])
    steps = options["warm_up_epochs"] * -(-len(split.training[0]) // batch_size)
    rows = [
        {"variant": variant}
        | trainer.train(
            start,
            rate,
            options["epochs"],
            warm_up=warm_up * steps,
            select=True,
            shift=options["shift"],
        )
        for variant, (start, warm_up) in _OF_NETWORK[options["normalization"]].items()
        for rate in options["rates"]
    ]
    return {"rows": rows}


def chosen(results: Results) -> dict[str, list[dict[str, Any]]]:
    """For each variant the trainings of the seeds, at the rate best in validation."""
    found: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    for run in starts_training.of_part(results, PART):
        for variant in _OF_NETWORK[run["normalization"]]:
            rows = [row for row in run["rows"] if row["variant"] == variant]
            found[variant].append(max(rows, key=_in_validation))
    return found


def _in_validation(row: dict[str, Any]) -> float:
    """Accuracy in the best epoch; what diverged is worse than anything."""
    return -1.0 if row["accuracy"] is None else max(row["validation"])


def accuracies(rows: list[dict[str, Any]]) -> list[float]:
    """Test accuracies in %, 0 for trainings that diverged."""
    return [100 * (row["accuracy"] or 0.0) for row in rows]


def findings(results: Results) -> list[Finding]:
    found = chosen(results)
    differs = (
        "ResNet-20 of 8, 16, 32 filters, 320 digits of 16×16 pixels, 30 epochs at a constant "
        "rate, of each seed the rate (of four) and the epoch best in validation; warm-up over 3 of "
        "the 30 epochs; no data augmentation, no weight decay"
    )
    rows = [
        (
            "The robust start reaches a higher accuracy than the data-dependent one",
            "ResNet-56, CIFAR-10: error 7.87 ± 0.14 % against 9.19 ± 0.24 %",
            (ROBUST, DATA_DEPENDENT),
            None,
        ),
        (
            "Warm-up improves the robust start further",
            "ResNet-56, CIFAR-10: error 7.20 ± 0.12 % against 7.87 ± 0.14 %; "
            "WRN-40-10 with cutout: 4.75 ± 0.08 % against 4.74 ± 0.14 %",
            (WARM_UP, ROBUST),
            None,
        ),
        (
            "With robust start and warm-up nothing is left of the gap to batch normalization "
            f"(less than {MARGIN:g} point of accuracy)",
            "ResNet-110, CIFAR-10: error 6.69 ± 0.11 % against 6.61 ± 0.16 % (He et al.); "
            "WRN-40-10 with cutout: 4.75 ± 0.08 % against 3.53 ± 0.38 %",
            (WARM_UP, BATCH),
            MARGIN,
        ),
    ]
    return [
        Finding(claim, paper, _compared(found, pair), _verdict(found, pair, margin), differs)
        for claim, paper, pair, margin in rows
    ]


def _compared(found: dict[str, list[dict[str, Any]]], pair: tuple[str, str]) -> str:
    if not any(found[name] for name in pair):
        return "–"
    return " against ".join(_described(found[name]) for name in pair)


def _described(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "–"
    lost = diverged(rows)
    return spread.spread(accuracies(rows), 1, " %") + f", {lost}" * bool(lost)


def _verdict(
    found: dict[str, list[dict[str, Any]]], pair: tuple[str, str], margin: float | None
) -> str:
    first, second = (accuracies(found[name]) for name in pair)
    if margin is None:
        return spread.judged([spread.difference(first, second)])
    return spread.judged([spread.difference(first, second, margin)], even="undecided")


def details(results: Results) -> str:
    runs_here = starts_training.of_part(results, PART)
    if not runs_here:
        return ""
    rows = [row for run in runs_here for row in run["rows"]]
    rates = sorted({row["rate"] for row in rows})
    best = chosen(results)
    lines = [
        "Test accuracy in %; a training that diverged counts as 0:",
        "",
        f"| network | best in validation | {' | '.join(f'rate {rate:g}' for rate in rates)} |",
        "|---" * (len(rates) + 2) + "|",
    ]
    for variant in VARIANTS:
        cells = [_described(best[variant])]
        for rate in rates:
            own = [r for r in rows if (r["variant"], r["rate"]) == (variant, rate)]
            cells.append(_described(own))
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(axes: list[Any], results: Results) -> None:
    (panel,) = axes
    for place, own in enumerate(chosen(results).values()):
        values = accuracies(own)
        panel.plot([place] * len(values), values, f"C{place}o")
    titles = [name.replace(", ", "\n") for name in VARIANTS]
    panel.set_xticks(range(len(VARIANTS)), titles, fontsize="x-small")
    panel.set_title("ResNet-20: test accuracy, %")
