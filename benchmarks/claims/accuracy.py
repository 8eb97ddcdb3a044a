"""MSN: test accuracy of the paper's classifiers under five normalizations and several rates.

python -m benchmarks.claims.accuracy
"""

from pathlib import Path
from typing import Any

import keras

from benchmarks.claims import classifiers, command, spread
from benchmarks.claims.claim import Claim, Finding, Results, Run, Setting
from benchmarks.claims.classifiers import NETWORKS, NORMALIZATIONS

TITLES = {"small_cnn": "three-layer CNN", "vgg7": "VGG7", "densenet_bc": "DenseNet-BC"}
_SEEDS = {"small_cnn": 5, "vgg7": 3, "densenet_bc": 3}
_SMOKE = (("small_cnn", "spectral"), ("small_cnn", "batch"))
# The authors' files have SN 7 to 9 points below the others.
FAILING = 0.05
_HERE = "few noisy digits, reduced sizes; epoch and rate selected in validation, not in the test"
_PAPER = "authors' files, MNIST, rates 1e-3 / 1e-4, epoch selected in the test: "

# Records by network, normalization and rate.
Records = dict[tuple[str, str, float], list[dict[str, Any]]]


def runs(setting: Setting) -> list[Run]:
    """One for each network, normalization and seed; at the paper's scale for each rate too."""
    pairs = [(network, normalization) for network in NETWORKS for normalization in NORMALIZATIONS]
    found = []
    for network, normalization in _SMOKE if setting.scale == "smoke" else pairs:
        rates = classifiers.protocol_of(setting, network).rates
        for seed in setting.seeds_or(_SEEDS[network]):
            options = {"network": network, "normalization": normalization, "seed": seed}
            name = f"{network}-{normalization}-seed-{seed}"
            if setting.scale == "paper":
                found += [
                    Run(f"{name}-rate-{rate:g}", {**options, "rates": [rate]}) for rate in rates
                ]
            else:
                found.append(Run(name, {**options, "rates": list(rates)}))
    return found


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Trains from one start at every rate."""
    seed = run.options["seed"]
    keras.utils.set_random_seed(seed)
    protocol = classifiers.protocol_of(setting, run.options["network"])
    split = classifiers.few_images(setting, protocol.size)
    model = classifiers.compiled(
        protocol, run.options["normalization"], split, setting.dataset, seed
    )
    start = classifiers.Start(model)
    trainings = []
    for rate in run.options["rates"]:
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


def collected(results: Results) -> Records:
    """The records of all seeds."""
    found: Records = {}
    for result in results.values():
        options = result["options"]
        for record in result["figures"]["trainings"]:
            key = options["network"], options["normalization"], record["rate"]
            found.setdefault(key, []).append(record)
    return found


def best(records: Records, network: str, normalization: str) -> list[float]:
    """Test accuracies at the rate with the best accuracy in validation; none without runs."""
    means = {
        rate: sum(record["selected"] or 0.0 for record in own) / len(own)
        for (of, by, rate), own in records.items()
        if (of, by) == (network, normalization)
    }
    if not means:
        return []
    return tests(records[network, normalization, max(means, key=means.get)])


def tests(records: list[dict[str, Any]]) -> list[float]:
    """Test accuracies, 0 where no epoch had a loss."""
    return [record["test"] or 0.0 for record in records]


def _percent(values: list[float]) -> str:
    return spread.spread([100 * value for value in values], 1, " %")


def _signs(better: list[float], *worse: list[float], margin: float = 0.0) -> list[int]:
    """Whether accuracies lie above others by a margin, for those that are there."""
    moved = [[value + margin for value in values] for values in worse if values and better]
    return [spread.difference(better, values) for values in moved]


def findings(results: Results) -> list[Finding]:
    records = collected(results)
    return [
        _failing(records),
        *(_compared(records, network, "batch") for network in NETWORKS),
        *(_compared(records, network, "spectral") for network in NETWORKS),
        _high_rates(records),
    ]


def _failing(records: Records) -> Finding:
    names = {"spectral": "SN", "none": "none", "batch": "BN", "mean-spectral": "MSN"}
    values = {short: best(records, "small_cnn", name) for name, short in names.items()}
    spectral, *others = values.values()
    signs = [sign for own in others for sign in _signs(own, spectral, margin=FAILING)]
    return Finding(
        "SN fails on the three-layer CNN (by more than 5 points)",
        f"{_PAPER}SN 89.07 / 91.22 %, none 98.49 / 98.43 %, BN 98.75 / 98.56 %, "
        "MSN 97.60 / 97.89 %",
        ", ".join(f"{name} {_percent(own)}" for name, own in values.items() if own) or "none",
        spread.judged(signs),
        f"{_HERE}; the authors' SN overwrites the trained kernel, no gradient passes the norm",
    )


_FIGURES = {
    ("small_cnn", "batch"): f"{_PAPER}MSN 97.60 / 97.89 %, BN 98.75 / 98.56 %",
    ("small_cnn", "spectral"): f"{_PAPER}MSN 97.60 / 97.89 %, SN 89.07 / 91.22 %",
    ("vgg7", "batch"): "not comparable: the authors' three SVHN networks are the same one",
    ("vgg7", "spectral"): "not comparable: the authors' three SVHN networks are the same one",
    ("densenet_bc", "batch"): "read off the authors' plot, CIFAR-10, 1e-3: MSN 92 %, BN 92.5 %",
    ("densenet_bc", "spectral"): "read off the authors' plot, CIFAR-10, 1e-3: MSN 92 %, SN 90 %",
}


def _compared(records: Records, network: str, other: str) -> Finding:
    mean, values = best(records, network, "mean-spectral"), best(records, network, other)
    claims = {"batch": "MSN is at least as good as BN", "spectral": "MSN is better than SN"}
    differs = _HERE
    if network == "densenet_bc":
        differs += (
            "; 22 layers, growth 6; in the authors' SN and MSN networks the blocks keep batch "
            "normalization"
        )
    short = {"batch": "BN", "spectral": "SN"}[other]
    return Finding(
        f"{claims[other]}: {TITLES[network]}",
        _FIGURES[network, other],
        f"MSN {_percent(mean)}, {short} {_percent(values)}" if mean and values else "none",
        spread.judged(_signs(mean, values)),
        differs,
    )


def _high_rates(records: Records) -> Finding:
    signs, counts = [], []
    for (network, normalization, rate), own in records.items():
        mean = records.get((network, "mean-spectral", rate))
        if normalization != "spectral" or not mean:
            continue
        spectral, mean = ([float(record["failed"]) for record in of] for of in (own, mean))
        signs.append(spread.difference(spectral, mean))
        if any(spectral + mean):
            counts.append(
                f"{TITLES[network]} at {rate:g}: SN {sum(spectral):.0f} of {len(spectral)}, "
                f"MSN {sum(mean):.0f} of {len(mean)}"
            )
    return Finding(
        "MSN trains at high rates at which SN diverges",
        "authors' later runs, VGG11 on KMNIST: at 1e-3 SN 10.00 %, MSN 97.92 %; "
        "at 1e-2 both 10.00 %",
        f"failed runs: {'; '.join(counts) or 'none of either, at any rate'}" if signs else "none",
        # Rates at which both do the same say nothing of the others.
        spread.judged([sign for sign in signs if sign] or signs),
        f"{_HERE}; failed: loss no number, or training accuracy below twice chance in the end",
    )


def details(results: Results) -> str:
    records = collected(results)
    lines = []
    for network in NETWORKS:
        rates = sorted({rate for of, _, rate in records if of == network}, reverse=True)
        if not rates:
            continue
        lines += [
            f"**{TITLES[network]}**, test accuracy at the epoch selected in validation; in "
            "brackets runs that failed, if any:",
            "",
            f"| normalization | {' | '.join(f'{rate:g}' for rate in rates)} | at the best rate |",
            f"|---|{'---|' * (len(rates) + 1)}",
        ]
        for name in NORMALIZATIONS:
            if values := best(records, network, name):
                cells = [_cell(records.get((network, name, rate), [])) for rate in rates]
                lines.append(f"| {name} | {' | '.join(cells)} | {_percent(values)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _cell(records: list[dict[str, Any]]) -> str:
    count = sum(record["failed"] for record in records)
    return _percent(tests(records)) + (f" [{count} failed]" if count else "")


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
                means, deviations = [v.mean() for v in values], [v.std() for v in values]
                axes.errorbar(rates, means, deviations, marker=".", capsize=2, label=name)
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
        f"{classifiers.FEW} digits with noise of deviation {classifiers.NOISE} for training, "
        f"{classifiers.HELD} to select the epoch, 1,277 to test. Three-layer CNN at full width "
        "(60 epochs), VGG7 at a quarter of the width without dropout and DenseNet-BC with 22 "
        "layers and growth 6 (100 epochs); Adam, batches of 32, learning rates 1e-2, 1e-3, 1e-4; "
        "SN and MSN with the factor 1 of the papers; WN from the robust start. The rate is the one "
        "with the best mean accuracy in validation."
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
