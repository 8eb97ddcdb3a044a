"""MSN: test accuracy of the paper's classifiers under five normalizations and several rates.

python -m benchmarks.claims.accuracy
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras

from benchmarks.claims import classifiers, command
from benchmarks.claims.accuracy_findings import collected, details, findings, tests
from benchmarks.claims.claim import LABELLED, Claim, Results, Run, Setting
from benchmarks.claims.classifiers import NETWORKS, NORMALIZATIONS, SHORT, TITLES, Protocol

_SEEDS = {"small_cnn": 5, "vgg7": 3, "densenet_bc": 3}
_SMOKE = (("small_cnn", "spectral"), ("small_cnn", "batch"))


def runs(setting: Setting) -> list[Run]:
    """One for each network, normalization and seed; at the paper's scale for each rate too."""
    pairs = [(network, normalization) for network in NETWORKS for normalization in NORMALIZATIONS]
    found = []
    for network, normalization in _SMOKE if setting.scale == "smoke" else pairs:
        protocol = classifiers.protocol_of(setting, network)
        for seed in setting.seeds_or(_SEEDS[network]):
            name = f"{network}-{normalization}-seed-{seed}"
            protocols = {name: protocol}
            if setting.scale == "paper":
                protocols = {
                    f"{name}-rate-{rate:g}": dataclasses.replace(protocol, rates=(rate,))
                    for rate in protocol.rates
                }
            more = {
                **classifiers.few_images(setting),
                "normalization": normalization,
                "seed": seed,
            }
            found += [Run(name, {**own.options, **more}) for name, own in protocols.items()]
    return found


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Trains from one start at every rate."""
    seed = run.options["seed"]
    keras.utils.set_random_seed(seed)
    protocol = Protocol.of(run.options)
    split = classifiers.images_of(setting, run.options)
    model = classifiers.compiled(protocol, run.options["normalization"], split, seed)
    start = classifiers.Start(model)
    trainings = []
    for rate in protocol.rates:
        start.restore(rate)
        record = classifiers.trained(model, split, protocol, rate, seed)
        record["failed"] = classifiers.failed(record, split.classes, protocol.epochs)
        trainings.append(record)
    return {
        "trainings": trainings,
        "parameters": model.count_params(),
        "images": {
            name: len(getattr(split, name)[1]) for name in ("training", "validation", "test")
        },
    }


def draw(results: Results, path: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    records = collected(results)
    figure = Figure((9, 3.2), layout="constrained")
    for axes, network in zip(figure.subplots(1, len(NETWORKS)), NETWORKS, strict=True):
        for name in NORMALIZATIONS:
            rates = sorted(rate for of, by, rate in records if (of, by) == (network, name))
            values = [100 * np.array(tests(records[network, name, rate])) for rate in rates]
            if rates:
                means = [own.mean() for own in values]
                deviations = [own.std(ddof=1) if len(own) > 1 else 0.0 for own in values]
                axes.errorbar(rates, means, deviations, marker=".", capsize=2, label=SHORT[name])
        axes.set(xscale="log", xlabel="learning rate", title=TITLES[network])
    figure.axes[0].set_ylabel("test accuracy, %")
    if handles := figure.axes[0].get_legend_handles_labels()[0]:
        figure.axes[0].legend(handles=handles, fontsize="small")
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="accuracy",
    title="MSN: accuracy of classifiers",
    source="Subramanian, Chong, arXiv:1907.04003; formulas and figures from the authors' code.",
    setup=(
        "Digits enlarged to 28 (three-layer CNN), 32 (VGG7) and 16 pixels, standardized, with "
        f"noise of deviation {classifiers.NOISE} in all of them: {classifiers.FEW} for training, "
        f"{classifiers.HELD} to select the epoch, 1,277 to test. Three-layer CNN at full width "
        "(60 epochs), VGG7 at a quarter of the width without dropout and DenseNet-BC with 22 "
        "layers and growth 6 (100 epochs); ReLU in all; Adam, batches of 32, learning rates 1e-1, "
        "1e-2, 1e-3, 1e-4; SN and MSN with the factor 1 of the papers; WN from the robust start. "
        "The rate is the one with the best mean accuracy in validation. A training without any "
        "epoch whose loss is a number counts as 0 % right."
    ),
    minutes=120,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=LABELLED,
)

if __name__ == "__main__":
    command.main(CLAIM)
