"""How far weight normalization stays behind batch normalization in residual networks."""

from typing import Any

import keras

from benchmarks.claims import data, spread, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.claims.starts_training import Trainer
from tfspecnorm import models

PART = "gap"
PANELS = 1
DATA_DEPENDENT, ROBUST = "WN, data-dependent", "WN, robust"
WARM_UP, BATCH = "WN, robust, warm-up", "BN"
VARIANTS = (DATA_DEPENDENT, ROBUST, WARM_UP, BATCH)
RATES = (0.003, 0.01, 0.03, 0.1)
_OF_NETWORK = {
    "weight": {
        DATA_DEPENDENT: ("data-dependent", False),
        ROBUST: ("robust", False),
        WARM_UP: ("robust", True),
    },
    "batch": {BATCH: ("default", False)},
}


def runs(setting: Setting) -> list[Run]:
    return [
        Run(
            f"gap-{normalization}-seed-{seed}",
            {"part": PART, "normalization": normalization, "seed": seed},
        )
        for normalization in _OF_NETWORK
        for seed in setting.seeds_or(3)
    ]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Losses, validation and test accuracy of each variant of a network at each rate."""
    smoke, paper = setting.scale == "smoke", setting.scale == "paper"
    split = data.split(
        setting.dataset,
        size=setting.pick(small=16, paper=32, smoke=8),
        training=setting.pick(small=320, paper=None, smoke=64),
        smoke=smoke,
        repeat_grey=False,
    )
    keras.utils.clear_session()
    keras.utils.set_random_seed(options["seed"])
    model = models.resnet(
        split.shape,
        split.classes,
        options["normalization"],
        width=1.0 if paper else 0.5,
        depth=setting.pick(small=20, paper=56, smoke=8),
    )
    batch_size = 128 if paper else 32
    trainer = Trainer(model, split, batch_size, options["seed"])
    steps = -(-len(split.training[0]) // batch_size)
    rows = [
        {"variant": variant}
        | trainer.train(
            start,
            rate,
            epochs=setting.pick(small=30, paper=200, smoke=2),
            warm_up=warm_up * steps * setting.pick(small=3, paper=5, smoke=1),
            select=True,
            shift=4 if paper else 0,
        )
        for variant, (start, warm_up) in _OF_NETWORK[options["normalization"]].items()
        for rate in (RATES[:1] if smoke else RATES)
    ]
    return {"rows": rows}


def accuracies(results: Results) -> dict[str, list[float]]:
    """For each variant the test accuracies of the seeds, in %, at the rate best in validation."""
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for run in starts_training.of_part(results, PART):
        for variant in _OF_NETWORK[run["normalization"]]:
            rows = [row for row in run["rows"] if row["variant"] == variant]
            row = max(rows, key=lambda row: max(row["validation"], default=0.0))
            found[variant].append(100 * (row["accuracy"] or 0.0))
    return found


def findings(results: Results) -> list[Finding]:
    found = accuracies(results)
    differs = (
        "ResNet-20 of 8, 16, 32 filters, 320 digits of 16×16 pixels, 30 epochs at a constant "
        "rate, best of four rates in validation; no data augmentation, no weight decay"
    )
    rows = [
        (
            "The robust start reaches a higher accuracy than the data-dependent",
            "ResNet-56, CIFAR-10: error 7.87 ± 0.14 % against 9.19 ± 0.24 %",
            (ROBUST, DATA_DEPENDENT),
        ),
        (
            "Warm-up improves the robust start further",
            "ResNet-56, CIFAR-10: error 7.20 ± 0.12 % against 7.87 ± 0.14 %; "
            "WRN-40-10: 4.75 ± 0.08 % against 4.74 ± 0.14 %",
            (WARM_UP, ROBUST),
        ),
    ]
    answers = [
        Finding(claim, paper, _compared(found, pair), _better(found, pair), differs)
        for claim, paper, pair in rows
    ]
    pair = WARM_UP, BATCH
    answers.append(
        Finding(
            "With robust start and warm-up nothing is left of the gap to batch normalization",
            "ResNet-110, CIFAR-10: error 6.69 ± 0.11 % against 6.61 ± 0.16 %; "
            "WRN-40-10: 4.75 ± 0.08 % against 3.53 ± 0.38 %",
            _compared(found, pair),
            _not_worse(found, pair),
            differs,
        )
    )
    return answers


def _compared(found: dict[str, list[float]], pair: tuple[str, str]) -> str:
    return " against ".join(spread.spread(found[name], 1, " %") for name in pair)


def _better(found: dict[str, list[float]], pair: tuple[str, str]) -> str:
    first, second = (found[name] for name in pair)
    return spread.judged([spread.difference(first, second)])


def _not_worse(found: dict[str, list[float]], pair: tuple[str, str]) -> str:
    first, second = (found[name] for name in pair)
    sign = spread.difference(first, second)
    if sign is None:
        return "not measured yet"
    return "does not hold" if sign < 0 else "holds"


def details(results: Results) -> str:
    runs_here = starts_training.of_part(results, PART)
    if not runs_here:
        return ""
    rows = [row for run in runs_here for row in run["rows"]]
    rates = sorted({row["rate"] for row in rows})
    chosen = accuracies(results)
    lines = [
        "Test accuracy in %:",
        "",
        f"| network | best in validation | {' | '.join(f'rate {rate:g}' for rate in rates)} |",
        "|---" * (len(rates) + 2) + "|",
    ]
    for variant in VARIANTS:
        cells = [spread.spread(chosen[variant], 1)]
        for rate in rates:
            own = [r for r in rows if (r["variant"], r["rate"]) == (variant, rate)]
            cells.append(spread.spread([100 * (row["accuracy"] or 0.0) for row in own], 1))
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(axes: list[Any], results: Results) -> None:
    (panel,) = axes
    for place, values in enumerate(accuracies(results).values()):
        panel.plot([place] * len(values), values, f"C{place}o")
    titles = [name.replace(", ", "\n") for name in VARIANTS]
    panel.set_xticks(range(len(VARIANTS)), titles, fontsize="x-small")
    panel.set_title("ResNet-20: test accuracy, %")
