"""Fréchet distance over a GAN's training: SN, SSN, BSN and BSSN, two pairs of learning rates.

python -m benchmarks.claims.distance
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import command, gan_setup
from benchmarks.claims import distance_curves as curves
from benchmarks.claims.claim import PICTURES, Claim, Results, Run, Setting
from benchmarks.claims.data import Images
from benchmarks.claims.distance_findings import details, findings
from tfspecnorm.metrics import FrechetDistance, extractors

# All of them, and between two measurements.
STEPS = {"small": (4000, 200), "paper": (400_000, 10_000), "smoke": (4, 2)}
# Real and generated images.
SAMPLES = {"small": (5000, 2000), "paper": (5000, 10_000), "smoke": (200, 100)}
_CLASSIFIER_STEPS, _CLASSIFIER_BATCH = 500, 128


def runs(setting: Setting) -> list[Run]:
    steps, every = setting.pick(**STEPS)
    real, generated = setting.pick(**SAMPLES)
    shared = {
        **gan_setup.protocol(setting),
        "steps": steps,
        "every": every,
        "real": real,
        "generated": generated,
        "classifier_steps": _CLASSIFIER_STEPS,
        "classifier_batch": _CLASSIFIER_BATCH,
    }
    return [
        Run(
            f"{name}-{rates[0]:g}-{rates[1]:g}-seed-{seed}",
            {**shared, "normalization": name, "rates": list(rates), "seed": seed},
        )
        for seed in setting.seeds_or(setting.pick(small=3, paper=5, smoke=1))
        for rates in setting.pick(**curves.RATES)
        for name in curves.NAMES
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """The distance before the training and during it."""
    images = gan_setup.images_of(setting)
    pixels = images.symmetric(images.train_images)
    extractor = extractor_of(images, pixels, run.options)
    distance = FrechetDistance(extractor)
    chosen = np.random.default_rng(0).permutation(len(pixels))[: run.options["real"]]
    distance.update_state(real=pixels[chosen])
    gan = gan_setup.built(images, run.options)

    def figures() -> dict[str, Any]:
        samples = gan.generate(run.options["generated"], seed=0, batch_size=100)
        if not np.all(np.isfinite(samples)):
            return {"distance": None}
        distance.reset_state(keep_real=True)
        distance.update_state(generated=samples)
        return {"distance": gan_setup.rounded(distance.result())}

    points = gan_setup.trained(gan, pixels, run.options, figures)
    return {"extractor": extractor.name, "points": points}


def extractor_of(
    images: Images, pixels: np.ndarray, options: dict[str, Any]
) -> extractors.Extractor:
    """A classifier of the data, the same for all runs; without labels Inception."""
    if not images.classes:
        return extractors.inception_v3()
    epochs = max(5, options["classifier_steps"] * options["classifier_batch"] // len(pixels))
    # The file is written whole or not at all, so that runs side by side may share it.
    name = f"classifier-{images.name}-{images.shape[0]}-{len(pixels)}-{epochs}.keras"
    command.ELSEWHERE.mkdir(parents=True, exist_ok=True)
    return extractors.classifier(pixels, images.train_labels, command.ELSEWHERE / name, epochs)


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    columns = curves.pairs(results)
    figure = Figure((5 * len(columns), 4), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, rates in zip(panels, columns, strict=True):
        for name in curves.NAMES:
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
        axes.set(yscale="log", xlabel="step", title=f"learning rates {curves.titled(rates)}")
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
    minutes=100,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=PICTURES,
)

if __name__ == "__main__":
    command.main(CLAIM)
