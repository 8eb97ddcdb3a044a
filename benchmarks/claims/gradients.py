"""Gradients of a discriminator in training: explosion, vanishing, and what normalization does.

python -m benchmarks.claims.gradients
"""

import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import command, gan_setup, spread
from benchmarks.claims import gradient_curves as curves
from benchmarks.claims.claim import PICTURES, Claim, Finding, Results, Run, Setting
from benchmarks.claims.gan_setup import NORMALIZATIONS
from benchmarks.claims.gradient_curves import QUANTITIES
from benchmarks.claims.gradient_slopes import Slopes
from benchmarks.claims.gradient_tables import details

# Every n-th step is measured, the gradients with the same real images and latent vectors.
STEPS = {"small": (1000, 40), "paper": (400_000, 2000), "smoke": (4, 1)}
RATES = {"small": (1e-3, 1e-3), "paper": (1e-4, 1e-4), "smoke": (1e-3, 1e-3)}
# Ten times SN's is explosion, a tenth is vanishing.
ORDER = math.log10(10)
# The variance of normalized kernels keeps its order within this factor.
KEPT = math.log10(3)


def runs(setting: Setting) -> list[Run]:
    steps, every = setting.pick(**STEPS)
    return [
        Run(
            f"{name.replace(' ', '-')}-seed-{seed}",
            {
                **gan_setup.protocol(setting),
                "normalization": name,
                "rates": list(setting.pick(**RATES)),
                "steps": steps,
                "every": every,
                "seed": seed,
            },
        )
        for seed in setting.seeds_or(setting.pick(small=3, paper=5, smoke=1))
        for name in NORMALIZATIONS
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Norms of gradients and of kernels over a training."""
    images = gan_setup.images_of(setting)
    gan = gan_setup.built(images, run.options)
    batch = run.options["batch"]
    pixels = images.symmetric(images.train_images)
    chosen = np.random.default_rng(0).permutation(len(pixels))[:batch]
    slopes = Slopes(gan.discriminator)

    def figures() -> dict[str, Any]:
        fake = gan.generate(batch, seed=0)
        return slopes.measure(pixels[chosen], fake)

    points = gan_setup.trained(gan, pixels, run.options, figures)
    return {"layers": list(slopes.layers), "points": points}


def _all_above(ratios: dict[str, list[float]], limit: float) -> str:
    """Whether all means lie above the limit by more than the spread."""
    return spread.judged([spread.against(each, limit) for each in ratios.values()], "undecided")


def _all_below(ratios: dict[str, list[float]], limit: float) -> str:
    """Whether all means lie below the limit by more than the spread."""
    limits = [limit, limit]
    signs = [spread.difference(limits, each) for each in ratios.values()]
    return spread.judged(signs, "undecided")


def _all_within(ratios: dict[str, list[float]], limit: float) -> str:
    """Whether all ratios and one over them lie below the limit by more than the spread."""
    sizes = {name: [abs(value) for value in values] for name, values in ratios.items()}
    return _all_below(sizes, limit)


def findings(results: Results) -> list[Finding]:
    def over_spectral(name: str, time: str) -> dict[str, list[float]]:
        return {each: curves.over_spectral(results, name, each, time) for each in QUANTITIES}

    late, early = over_spectral("none", "last"), over_spectral("none", "start")
    strict = over_spectral("strict SN", "last")
    grown = {quantity: curves.growth(results, "SN", quantity) for quantity in QUANTITIES}
    changes = curves.variance_change(results, "SN")
    # Nothing is small beside what has diverged, and what has diverged keeps no order.
    lost = curves.diverged(results, "SN") > 0
    size = "8 layers, small images, few steps"
    return [
        Finding(
            "Without normalization gradients explode: more than 10 times SN's late in training",
            "SN bounds the gradients (abstract); no figure",
            _listed(results, late, "of SN's", "none", "SN"),
            _all_above(late, ORDER),
            size,
        ),
        Finding(
            "Without normalization gradients vanish before training: less than a tenth of SN's",
            "no statement",
            _listed(results, early, "of SN's"),
            _all_below(early, -ORDER),
            f"{size}; kernels start from N(0, 0.02²)",
        ),
        Finding(
            "With the strict norm, that of the convolution, gradients vanish: less than a tenth "
            "of SN's late in training",
            "the strict norm needs tuning (abstract); vanishing is not verified",
            _listed(results, strict, "of SN's", "strict SN", "SN"),
            "undecided" if lost else _all_below(strict, -ORDER),
            size,
        ),
        Finding(
            "With SN they do neither: from the first to the last quarter of training they change "
            "by less than a factor of 10",
            "SN prevents both (abstract); no figure",
            _listed(results, grown, "of the first quarter's", "SN"),
            "does not hold" if lost else _all_within(grown, ORDER),
            size,
        ),
        Finding(
            "SN keeps the order of LeCun's variance through training: in every layer "
            "within a factor of 3 of the start's",
            "kept during the whole of training (abstract); no figure",
            _listed(results, changes, "of the start's", "SN"),
            "does not hold" if lost else _all_within(changes, KEPT),
            "variance of W/σ times max(m, n), at the end over at the start",
        ),
    ]


def _listed(results: Results, ratios: dict[str, list[float]], what: str, *names: str) -> str:
    """The ratios, and how many of the named normalizations' trainings diverged."""
    parts = [
        f"{QUANTITIES.get(name, name)} {curves.factor(values)}"
        for name, values in ratios.items()
        if values
    ]
    if not parts:
        return "–"
    counts = [
        f"; {name}: {curves.diverged(results, name)} of {len(curves.by_seed(results, name))} "
        "diverged"
        for name in names
        if curves.diverged(results, name)
    ]
    return f"{'; '.join(parts)}, {what}{''.join(counts)}"


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((10, 6), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    titles = {**QUANTITIES, "variance": "variance of W̄ · max(m, n), median layer"}
    for axes, (quantity, title) in zip(panels, titles.items(), strict=True):
        for name, colour in gan_setup.COLOURS.items():
            for number, result in enumerate(curves.by_seed(results, name).values()):
                points = result["figures"]["points"]
                values = [
                    statistics.median(map(curves.limited, point["variance"]))
                    if quantity == "variance"
                    else curves.value_of(point, quantity)
                    for point in points
                ]
                label = name if number == 0 else None
                steps = [point["step"] for point in points]
                axes.plot(steps, values, color=colour, linewidth=0.8, label=label)
        axes.set(yscale="log", xlabel="step", title=title)
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="gradients",
    title="BSSN: gradients of the discriminator",
    source="Lin, Sekar, Fanti, arXiv:2009.02773.",
    setup=(
        "SN-DCGAN at a quarter of its width on digits of 16×16 pixels, hinge loss, batches of 64, "
        "Adam (0.5, 0.999) with a learning rate of 0.001 for both networks, 1000 steps; three "
        "seeds; SSN and BSSN with the scale √2. Every 40 steps gradients are taken at the same 64 "
        "real images and at generated ones from the same latent vectors."
    ),
    minutes=60,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=PICTURES,
)

if __name__ == "__main__":
    command.main(CLAIM)
