"""What mean spectral normalization costs beside batch normalization: time and parameters.

python -m benchmarks.claims.cost
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import tfspecnorm
from benchmarks.claims import command, cost_findings
from benchmarks.claims.claim import PICTURES, Claim, Finding, Results, Run, Setting
from benchmarks.claims.cost_findings import (
    FOLDED,
    INFERENCE,
    NORMALIZATIONS,
    TRAINING,
    details,
    draw,
)
from benchmarks.speed import measure as speed
from benchmarks.speed import pairing, with_keras
from tfspecnorm import models

CLASSES = 10
# Shape of the images, and arguments of the function of `tfspecnorm.models`.
_NETWORKS = {
    "small_cnn": ((28, 28, 1), {"width": 1.0}),
    "vgg7": ((32, 32, 3), {"width": 1.0, "dropout": 0.0}),
    "densenet_bc": ((32, 32, 3), {"growth": 12}),
}


def runs(setting: Setting) -> list[Run]:
    depths = setting.pick(small=(40, 100), paper=(100,), smoke=(10,))
    found = []
    for network, (shape, arguments) in _NETWORKS.items():
        for depth in depths if network == "densenet_bc" else (None,):
            slow = setting.scale == "smoke" or (depth or 0) > 50
            options = {
                "network": network,
                "shape": list(shape),
                "arguments": arguments if depth is None else {**arguments, "depth": depth},
                "batch": setting.pick(small=32, paper=64, smoke=2),
                "rounds": setting.pick(small=15, paper=40, smoke=4),
                "calls": 1 if slow else 4,
                "seed": 0,
            }
            found.append(Run(network if depth is None else f"{network}-{depth}", options))
    return found


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
    for kind, contenders in calls.items():
        speed.warm_up(contenders)
        figures[kind] = pairing.interleaved(
            contenders, options["rounds"], options["calls"], options["seed"]
        )
    return figures


def built(options: dict[str, Any], normalization: str) -> keras.Model:
    """A network with a normalization, and nothing else that differs: no dropout, ReLU."""
    keras.utils.set_random_seed(options["seed"])
    return getattr(models, options["network"])(
        tuple(options["shape"]),
        classes=CLASSES,
        normalization=normalization,
        negative_slope=0.0,
        **options["arguments"],
    )


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


def findings(results: Results) -> list[Finding]:
    """Verdicts on the runs of the plan at the scale of the results."""
    scale = next((found.get("scale", "small") for found in results.values()), "small")
    return cost_findings.findings([results.get(run.name) for run in runs(Setting(scale))])


CLAIM = Claim(
    name="cost",
    title="MSN: time and parameters beside batch normalization",
    source="Subramanian, Chong, IEEE CASE 2019, arXiv:1907.04003.",
    setup=(
        "Training step, inference as trained and inference folded of this project's networks at "
        "their full widths: three-layer CNN (16, 32 and 32 filters, 28×28 pixels), VGG7 (32 to 256 "
        "filters, 32×32 pixels), DenseNet-BC (growth 12, 32×32 pixels). One fixed batch of 32 "
        "random images; all normalizations in one process, round by round in random order, "
        "ratios taken within a round. All networks have ReLU and no dropout, so that the "
        "normalization is all that differs. In DenseNet-BC batch normalization stands on the "
        "concatenations, as in the authors' code; for the others the convolutions are wrapped."
    ),
    minutes=15,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    timed=True,
    # Without data: any will do.
    datasets=PICTURES,
)

if __name__ == "__main__":
    command.main(CLAIM)
