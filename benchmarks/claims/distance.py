"""Fréchet distance over a GAN's training: SN, SSN, BSN and BSSN, two pairs of learning rates.

python -m benchmarks.claims.distance
"""

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import command, gan_setup, spread
from benchmarks.claims import distance_curves as curves
from benchmarks.claims.claim import Claim, Finding, Results, Run, Setting
from benchmarks.claims.data import Images
from tfspecnorm.metrics import FrechetDistance, extractors

NAMES = ("SN", "SSN", "BSN", "BSSN")
# Of the generator and of the discriminator.
RATES = {
    "small": ((1e-3, 1e-3), (1e-3, 2e-3)),
    "paper": ((1e-4, 1e-4), (1e-4, 2e-4), (2e-4, 1e-4), (2e-4, 2e-4)),
    "smoke": ((1e-3, 1e-3),),
}
# All of them, and between two measurements.
STEPS = {"small": (4000, 200), "paper": (400_000, 10_000), "smoke": (4, 2)}
# Real and generated images.
SAMPLES = {"small": (5000, 2000), "paper": (5000, 10_000), "smoke": (200, 100)}
_CLASSIFIER_STEPS, _CLASSIFIER_BATCH = 500, 128


def runs(setting: Setting) -> list[Run]:
    return [
        Run(
            f"{name}-{rates[0]:g}-{rates[1]:g}-seed-{seed}",
            {"normalization": name, "rates": list(rates), "seed": seed},
        )
        for seed in setting.seeds_or(setting.pick(small=3, paper=5, smoke=1))
        for rates in setting.pick(**RATES)
        for name in NAMES
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """The distance before the training and during it."""
    images = gan_setup.images_of(setting)
    pixels = images.symmetric(images.train_images)
    extractor = extractor_of(setting, images, pixels)
    distance = FrechetDistance(extractor)
    real, generated = setting.pick(**SAMPLES)
    distance.update_state(real=pixels[np.random.default_rng(0).permutation(len(pixels))[:real]])
    name, rates, seed = (run.options[key] for key in ("normalization", "rates", "seed"))
    gan = gan_setup.built(setting, images, name, rates, seed)

    def figures() -> dict[str, Any]:
        samples = gan.generate(generated, seed=0, batch_size=100)
        if not np.all(np.isfinite(samples)):
            return {"distance": None}
        distance.reset_state(keep_real=True)
        distance.update_state(generated=samples)
        return {"distance": gan_setup.rounded(distance.result())}

    points = gan_setup.trained(gan, pixels, seed, *setting.pick(**STEPS), figures)
    return {"extractor": extractor.name, "points": points}


def extractor_of(setting: Setting, images: Images, pixels: np.ndarray) -> extractors.Extractor:
    """A classifier of the data, the same for all runs; without labels Inception."""
    if not images.classes:
        return extractors.inception_v3()
    epochs = max(5, _CLASSIFIER_STEPS * _CLASSIFIER_BATCH // len(pixels))
    # The file is written whole or not at all, so that runs side by side may share it.
    name = f"classifier-{setting.dataset}-{images.shape[0]}-{len(pixels)}.keras"
    command.ELSEWHERE.mkdir(parents=True, exist_ok=True)
    return extractors.classifier(pixels, images.train_labels, command.ELSEWHERE / name, epochs)


def findings(results: Results) -> list[Finding]:
    size = "features of a classifier of the data, small images, few steps"
    untuned = "; scale √2, not tuned"
    rows = [
        _ordering(results, name, other, paper, f"{size}{scale}")
        for name, other, paper, scale in (
            ("BSN", "SN", "not verified", ""),
            ("SSN", "SN", "not verified", untuned),
            ("BSSN", "SSN", "not verified", untuned),
            ("BSSN", "SN", "better sample quality, qualitative", untuned),
        )
    ]
    for name, paper in (("BSN", "not verified"), ("BSSN", "better stability, qualitative")):
        rows += [
            _scatter(results, name, "SN", paper, f"{size}; last distances"),
            _compared(
                results,
                name,
                "SN",
                curves.rises,
                Finding(
                    f"{name}'s distance rises less late in training than SN's",
                    paper,
                    "last over best, less one",
                    "not measured yet",
                    size,
                ),
            ),
        ]
    return rows


def _ordering(results: Results, name: str, other: str, paper: str, differs: str) -> Finding:
    row = Finding(
        f"{name} reaches a smaller distance than {other} at each pair of learning rates",
        paper,
        "best distance",
        "not measured yet",
        differs,
    )
    return _compared(results, name, other, curves.best, row)


def _compared(
    results: Results,
    name: str,
    other: str,
    quantity: Callable[[Results, str, tuple[float, ...]], list[float]],
    row: Finding,
) -> Finding:
    """The row with figures and verdict: whether the quantity is smaller at each pair of rates."""
    signs, parts = [], []
    for rates in curves.pairs(results):
        own, others = (quantity(results, each, rates) for each in (name, other))
        if own and others:
            signs.append(spread.difference(others, own))
            parts.append(f"{_titled(rates)}: {spread.spread(own)}, {spread.spread(others)}")
    ours = f"{row.ours}, {name} and {other}: {'; '.join(parts) or 'none'}"
    return dataclasses.replace(row, ours=ours, verdict=spread.judged(signs))


def _scatter(results: Results, name: str, other: str, paper: str, differs: str) -> Finding:
    own, others = (curves.scatter(results, each) for each in (name, other))
    return Finding(
        f"{name}'s distances spread less over seeds than {other}'s",
        paper,
        "distance from the median of the seeds, relative, mean of all trainings: "
        f"{name} {_described(own)}, {other} {_described(others)}",
        spread.judged([spread.difference(others, own)] if own and others else []),
        differs,
    )


def _described(values: list[float]) -> str:
    # These are trainings rather than seeds.
    return f"{statistics.fmean(values):.2f} of {len(values)}" if values else "none"


def _titled(rates: tuple[float, ...]) -> str:
    return " / ".join(f"{rate:g}" for rate in rates)


def details(results: Results) -> str:
    if not results:
        return ""
    named = sorted({result["figures"]["extractor"] for result in results.values()})
    lines = [
        f"Fréchet distances by features of {', '.join(named)}; mean ± deviation over seeds. Rise: "
        "last over best, less one. Learning rates are those of generator / discriminator.",
        "",
        "| learning rates | normalization | untrained | best | last | rise | not finite |",
        "|---|---|---|---|---|---|---|",
    ]
    for rates in curves.pairs(results):
        for name in NAMES:
            own = curves.of(results, name, rates)
            if not own:
                continue
            first = [result["figures"]["points"][0]["distance"] for result in own]
            cells = [
                spread.spread([value for value in first if value is not None], 0),
                spread.spread(curves.best(results, name, rates)),
                spread.spread(curves.last(results, name, rates)),
                spread.spread(curves.rises(results, name, rates)),
                str(len(own) - len(curves.ends(results, name, rates))),
            ]
            lines.append(f"| {_titled(rates)} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    columns = curves.pairs(results)
    figure = Figure((5 * len(columns), 4), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, rates in zip(panels, columns, strict=True):
        for name in NAMES:
            for number, result in enumerate(curves.of(results, name, rates)):
                points = result["figures"]["points"]
                distances = [
                    math.nan if point["distance"] is None else point["distance"] for point in points
                ]
                axes.plot(
                    [point["step"] for point in points],
                    distances,
                    color=gan_setup.COLOURS[name],
                    linewidth=0.8,
                    label=name if number == 0 else None,
                )
        axes.set(yscale="log", xlabel="step", title=f"learning rates {_titled(rates)}")
        axes.legend(fontsize="small")
    panels[0].set_ylabel("Fréchet distance")
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="distance",
    title="BSSN: Fréchet distance of generated images",
    source="Lin, Sekar, Fanti, arXiv:2009.02773.",
    setup=(
        "SN-DCGAN at a quarter of its width on digits of 16×16 pixels, hinge loss, batches of 64, "
        "Adam (0.5, 0.999), one update of the discriminator for one of the generator, no average "
        "of the generator, 4000 steps; three seeds at each of two pairs of learning rates; SSN and "
        "BSSN with the scale √2. Every 200 steps 2000 generated digits are compared with the "
        "1,437 real ones by the features of a classifier, which is the same for all runs."
    ),
    minutes=120,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
)

if __name__ == "__main__":
    command.main(CLAIM)
