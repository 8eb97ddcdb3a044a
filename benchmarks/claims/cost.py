"""What mean spectral normalization costs beside batch normalization: time and parameters.

python -m benchmarks.claims.cost
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfspecnorm
from benchmarks.claims import command, spread
from benchmarks.claims.claim import Claim, Finding, Results, Run, Setting
from benchmarks.speed import measure as speed
from benchmarks.speed import pairing, with_keras
from tfspecnorm import models

NORMALIZATIONS = ("none", "batch", "spectral", "mean-spectral")
PLAIN, BATCH, _, MEAN_SPECTRAL = NORMALIZATIONS
TRAINING, INFERENCE, FOLDED = "training step", "inference as trained", "inference folded"
KINDS = (TRAINING, INFERENCE, FOLDED)
CLASSES = 10
_LEGEND = (
    "Medians; a ratio stands behind what it is a ratio to, with its quartiles over rounds. "
    "Stored are moving averages and the vectors of the power iterations too."
)
TITLES = {"small_cnn": "three-layer CNN", "vgg7": "VGG7", "densenet_bc": "DenseNet-BC"}


def runs(setting: Setting) -> list[Run]:
    batch = setting.pick(small=32, paper=64, smoke=2)
    depths = setting.pick(small=(40, 100), paper=(100,), smoke=(10,))
    rounds = setting.pick(small=15, paper=40, smoke=4)
    network_options = [("small_cnn", None), ("vgg7", None)]
    network_options += [("densenet_bc", depth) for depth in depths]
    return [
        Run(
            network if depth is None else f"{network}-{depth}",
            {"network": network, "depth": depth, "batch": batch, "rounds": rounds, "seed": 0},
        )
        for network, depth in network_options
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Seconds of each round, for each normalization, and numbers of parameters."""
    options = run.options
    made = {name: built(options, name) for name in NORMALIZATIONS}
    folded = {name: tfspecnorm.fold(model, batch_norm=True) for name, model in made.items()}
    calls: dict[str, dict[str, Callable[[], Any]]] = {
        TRAINING: {name: _training(model, options["batch"]) for name, model in made.items()},
        INFERENCE: {name: _inference(model, options["batch"]) for name, model in made.items()},
        FOLDED: {name: _inference(model, options["batch"]) for name, model in folded.items()},
    }
    counts = {name: parameters(model) for name, model in made.items()}
    figures: dict[str, Any] = {"parameters": counts}
    each = 1 if setting.scale == "smoke" or (options["depth"] or 0) > 50 else 4
    for kind, contenders in calls.items():
        speed.warm_up(contenders)
        figures[kind] = pairing.interleaved(contenders, options["rounds"], each, options["seed"])
    return figures


def built(options: dict[str, Any], normalization: str) -> keras.Model:
    """A network with a normalization, and nothing else that differs: no dropout, ReLU."""
    keras.utils.set_random_seed(options["seed"])
    build = {
        "small_cnn": functools.partial(models.small_cnn, (28, 28, 1)),
        "vgg7": functools.partial(models.vgg7, (32, 32, 3), dropout=0.0),
        "densenet_bc": functools.partial(
            models.densenet_bc, (32, 32, 3), depth=options["depth"], growth=12
        ),
    }[options["network"]]
    return build(classes=CLASSES, normalization=normalization, negative_slope=0.0)


def _samples(model: keras.Model, batch: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (batch, *model.input_shape[1:])
    inputs = np.random.default_rng(0).standard_normal(shape).astype("float32")
    return inputs, (np.arange(batch) % CLASSES).astype("int32")


def _training(model: keras.Model, batch: int) -> Callable[[], Any]:
    inputs, labels = _samples(model, batch)
    with_keras.compile_model(model, compiled=False)
    return lambda: model.train_on_batch(inputs, labels)


def _inference(model: keras.Model, batch: int) -> Callable[[], Any]:
    inputs, _ = _samples(model, batch)
    if not model.compiled:
        with_keras.compile_model(model, compiled=False)
    return lambda: model.predict_on_batch(inputs)


def parameters(model: keras.Model) -> dict[str, int]:
    """Numbers of trained parameters, and of all that the model stores."""
    return {
        "trainable": sum(math.prod(variable.shape) for variable in model.trainable_variables),
        "total": sum(math.prod(variable.shape) for variable in model.variables),
    }


def ratio(times: dict[str, list[float]], name: str, baseline: str) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of a ratio taken round by round."""
    found = pairing.compared(times, baseline)[name]
    return found["lower_quartile"], found["ratio"], found["upper_quartile"]


def sign(quartiles: tuple[float, float, float]) -> int:
    """1 for a ratio below one, -1 above, 0 if one lies between its quartiles."""
    lower, _, upper = quartiles
    return 1 if upper < 1 else -1 if lower > 1 else 0


def title(result: dict[str, Any]) -> str:
    """Name of the network of a run."""
    options = result["options"]
    depth = f"-{options['depth']}" if options["depth"] else ""
    return TITLES[options["network"]] + depth


def _cell(quartiles: tuple[float, float, float]) -> str:
    lower, median, upper = quartiles
    return f"×{median:.2f} ({lower:.2f} to {upper:.2f})"


def _against(results: Results, kind: str) -> tuple[str, str]:
    """Ratios of mean spectral normalization in all networks, and whether it is faster."""
    cells, signs = [], []
    for result in results.values():
        quartiles = ratio(result["figures"][kind], MEAN_SPECTRAL, BATCH)
        cells.append(f"{title(result)} {_cell(quartiles)}")
        signs.append(sign(quartiles))
    return "; ".join(cells) or "none", spread.judged(signs)


def findings(results: Results) -> list[Finding]:
    own = "no figure; not a statement of the paper"
    speedup = "about 16 % faster (abstract; how it was timed is not known), that is ×0.84 to ×0.86"
    found = [
        Finding(
            "MSN trains faster than batch normalization: time of a step, MSN over BN",
            speedup,
            *_against(results, TRAINING),
            "a CPU instead of a GPU; quartiles over interleaved rounds",
        ),
        Finding(
            "MSN's inference as trained is faster than batch normalization's: MSN over BN",
            speedup,
            *_against(results, INFERENCE),
            "the same",
        ),
        Finding(
            "Folded, MSN's inference is faster than batch normalization's, folded too: MSN over BN",
            own,
            *_against(results, FOLDED),
            "in DenseNet-BC batch normalization follows concatenations, where it cannot be folded",
        ),
    ]
    counts = {
        title(result): [
            result["figures"]["parameters"][name]["trainable"] for name in (MEAN_SPECTRAL, BATCH)
        ]
        for result in results.values()
    }
    found.append(
        Finding(
            "MSN has fewer trainable parameters than batch normalization",
            "fewer, no figure; the authors' code has 103,566 against 103,562 in the "
            "three-layer CNN and three more than batch normalization in DenseNet-BC-100",
            "; ".join(f"{name} {mine:,} against {its:,}" for name, (mine, its) in counts.items())
            or "none",
            spread.judged([(mine < its) - (mine > its) for mine, its in counts.values()]),
            "the text's form, an offset and no factor, which the authors' code has; VGG7's batch "
            "normalization has no factor either",
        )
    )
    return found


def details(results: Results) -> str:
    if not results:
        return ""
    lines = ["| network | normalization | trainable | stored | " + " | ".join(KINDS) + " |"]
    lines.append("|---" * (4 + len(KINDS)) + "|")
    for result in results.values():
        figures = result["figures"]
        for name in NORMALIZATIONS:
            counts = figures["parameters"][name]
            cells = [title(result), name, f"{counts['trainable']:,}", f"{counts['total']:,}"]
            for kind in KINDS:
                milliseconds = 1000 * float(np.median(figures[kind][name]))
                own = [f"{milliseconds:.1f} ms"]
                own += [
                    f"{base} {_cell(ratio(figures[kind], name, base))}"
                    for base in (PLAIN, BATCH)
                    if name != base
                ]
                cells.append(", ".join(own))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _LEGEND])


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((8, 3.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(KINDS), sharey=True), KINDS, strict=True):
        for place, name in enumerate(NORMALIZATIONS):
            values = [ratio(found["figures"][kind], name, BATCH) for found in results.values()]
            lower, median, upper = np.transpose(values)
            positions = np.arange(len(values)) + 0.2 * (place - 1.5)
            errors = (median - lower, upper - median)
            axes.bar(positions, median, 0.2, yerr=errors, label=name, color=f"C{place}")
        axes.axhline(1, color="black", linewidth=0.8)
        labels = [title(found) for found in results.values()]
        axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right")
        axes.set_title(kind)
    figure.axes[0].set_ylabel("time over batch normalization's")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="cost",
    title="MSN: time and parameters beside batch normalization",
    source="Subramanian, Chong, IEEE CASE 2019, arXiv:1907.04003.",
    setup=(
        "Training step, inference as trained and inference folded of the project's own networks, "
        "on one fixed batch; all normalizations in one process, round by round in random order, "
        "ratios taken within a round. All networks have ReLU and no dropout, so that the "
        "normalization is all that differs. DenseNet-BC has batch normalization on the "
        "concatenations, as the paper's; wrappers stand around the convolutions."
    ),
    minutes=15,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    timed=True,
)

if __name__ == "__main__":
    command.main(CLAIM)
