"""MSN: drift of means, exact zeros and the covariance of gradients, in a network in training.

python -m benchmarks.claims.drift
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.claims import classifiers, command, data, spread
from benchmarks.claims.claim import Claim, Finding, Results, Run, Setting
from benchmarks.claims.drift_numbers import (
    MEASURES,
    channels,
    collected,
    covariance,
    layer_drift,
    zeros,
)
from benchmarks.claims.drift_recorder import Recorder

# Normalization and slope of the activation below zero. Which entries of a gradient are zero depends
# on the slope, and the authors' slopes differ: 0 without normalization and with BN, 0.1 with
# SN and MSN.
CONTENDERS = (
    ("none", 0.0),
    ("batch", 0.0),
    ("spectral", 0.0),
    ("mean-spectral", 0.0),
    ("spectral", 0.1),
    ("mean-spectral", 0.1),
)
SHORT = {"none": "none", "batch": "BN", "spectral": "SN", "mean-spectral": "MSN"}
RATE = 1e-3
_READ_OFF = "read off the authors' plots, DenseNet on CIFAR-10: "


def runs(setting: Setting) -> list[Run]:
    contenders = CONTENDERS[1:3] if setting.scale == "smoke" else CONTENDERS
    return [
        Run(
            f"{normalization}-slope-{slope:g}-seed-{seed}",
            {"normalization": normalization, "slope": slope, "seed": seed},
        )
        for normalization, slope in contenders
        for seed in setting.seeds_or(3)
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Trains VGG7 and measures before the first and after every epoch."""
    seed, smoke = run.options["seed"], setting.scale == "smoke"
    keras.utils.set_random_seed(seed)
    protocol = classifiers.protocol_of(setting, "vgg7")
    epochs = setting.pick(small=30, paper=protocol.epochs, smoke=1)
    protocol = dataclasses.replace(protocol, epochs=epochs)
    split = data.split(setting.dataset, protocol.size, smoke=smoke, repeat_grey=False)
    if smoke:
        split = dataclasses.replace(split, training=tuple(own[:64] for own in split.training))
    # The same for all: no noise of a dropout in the gradients.
    arguments = {"negative_slope": run.options["slope"], "dropout": 0.0}
    model = classifiers.compiled(
        protocol, run.options["normalization"], split, setting.dataset, seed, **arguments
    )
    classifiers.Start(model).restore(RATE)
    recorder = Recorder(split, protocol, setting.pick(small=64, paper=64, smoke=4))
    history = model.fit(
        *split.training,
        batch_size=protocol.batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[recorder],
    ).history
    return {**recorder.figures, "history": history}


def _verdict(measure: str, pairs: list[tuple[str, str]], results: Results) -> str:
    """Whether each first one of the pairs lies above its second one, with ReLU in both."""
    values = collected(results, measure)
    known = [
        (values[first, 0.0], values[second, 0.0])
        for first, second in pairs
        if (first, 0.0) in values and (second, 0.0) in values
    ]
    return spread.judged([spread.difference(*pair) for pair in known])


def _ours(measure: str, results: Results) -> str:
    title, digits, _ = MEASURES[measure]
    values = {name: own for (name, slope), own in collected(results, measure).items() if not slope}
    cells = [f"{SHORT[name]} {spread.spread(own, digits)}" for name, own in values.items()]
    return f"{title}: {', '.join(cells)}" if cells else "none"


def findings(results: Results) -> list[Finding]:
    spectral, mean, batch = "spectral", "mean-spectral", "batch"
    relu = "VGG7 at a quarter of the width on digits, ReLU in all"
    scale = "SN's and MSN's gradient is that of a kernel whose length is free, and scales with it"
    rows = (
        (
            "Under SN the means of activations drift, more than under BN and MSN",
            "qualitative, in the abstract; how it was measured is not verified",
            "channels",
            [(spectral, batch), (spectral, mean)],
            "drift of the channels' means before the activation, over one batch in training mode, "
            "where MSN's means are its biases, relative to their deviation; ",
        ),
        (
            "The same of the mean of the whole layer",
            "as above",
            "layer",
            [(spectral, batch), (spectral, mean)],
            "",
        ),
        (
            "Under SN the mean of the weights drifts, more than under BN and MSN",
            f"{_READ_OFF}means at the end in three layers SN -0.087, -0.033, -0.125, "
            "BN -0.027, -0.022, 0.008, MSN -0.023, -0.033, 0.015; on MNIST SN stays within ±0.005, "
            "BN within [-0.07, 0]",
            "kernels",
            [(spectral, batch), (spectral, mean)],
            "relative to the deviation of the entries; ",
        ),
        (
            "SN and MSN have more exact zeros in gradients than BN",
            f"{_READ_OFF}two layers BN 0.20, 0.155, SN 0.43, 0.37, MSN 0.43, 0.345",
            "zeros",
            [(spectral, batch), (mean, batch)],
            "the authors' SN and MSN have a leaky ReLU, see the table; ",
        ),
        (
            "SN controls the variance of gradients: it is smaller than under BN",
            "qualitative, in the abstract",
            "variance",
            [(batch, spectral)],
            f"{scale}; ",
        ),
        (
            "The eigenvalues of gradients are larger under SN and MSN than under BN",
            "qualitative, in the authors' plots",
            "eigenvalue",
            [(spectral, batch), (mean, batch)],
            "here those of the covariance over 64 mini-batches; the authors' are no covariance "
            "spectrum but the eigenvalues of each 3×3 slice of one gradient; ",
        ),
    )
    return [
        Finding(
            claim, paper, _ours(measure, results), _verdict(measure, pairs, results), differs + relu
        )
        for claim, paper, measure, pairs, differs in rows
    ]


def details(results: Results) -> str:
    if not results:
        return ""
    values = {name: collected(results, name) for name in MEASURES}
    titles = [title for title, *_ in MEASURES.values()]
    lines = [f"| normalization | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for key in (contender for contender in CONTENDERS if contender in values["layer"]):
        cells = [
            spread.spread(values[name].get(key, []), digits)
            for name, (_, digits, _) in MEASURES.items()
        ]
        title = f"{SHORT[key[0]]}, {'leaky ReLU' if key[1] else 'ReLU'}"
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "Means over the layers. Drifts are |mean − mean at the start| over the deviation, at "
            "the end of training; all others are means over the training.",
            "",
            *lines,
        ]
    )


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    panels = (
        ("drift of activations' channels", channels),
        ("drift of weights", lambda own: layer_drift(own, "kernels")),
        ("zeros in gradients", zeros),
        ("log₁₀ top eigenvalue", lambda own: covariance(own, "eigenvalues")),
    )
    figure = Figure((10, 3), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for place, (name, slope) in enumerate(CONTENDERS):
            own = [
                found["figures"]
                for found in results.values()
                if (found["options"]["normalization"], found["options"]["slope"]) == (name, slope)
            ]
            if not own:
                continue
            rows = np.mean([values(figures) for figures in own], axis=0)
            epochs = own[0]["moments"] if len(rows) == len(own[0]["moments"]) else range(len(rows))
            label = f"{SHORT[name]}{', leaky' if slope else ''}"
            axes.plot(epochs, rows, f"C{place}{'--' if slope else '-'}", label=label)
        axes.set(title=title, xlabel="epoch")
        axes.title.set_fontsize("medium")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="drift",
    title="MSN: drift of means, and gradients",
    source="Subramanian, Chong, arXiv:1907.04003; measures and figures from the authors' code.",
    setup=(
        "VGG7 at a quarter of the width without dropout on the digits of scikit-learn, 30 epochs "
        "of Adam with rate 1e-3, batches of 32, three seeds. After each epoch: means of what goes "
        "into each activation, in training mode over one batch of 256 test images; means of each "
        "kernel; exact zeros in the gradient of one mini-batch. Seven times: the covariance of the "
        "gradients of 64 mini-batches, whose eigenvalues are those of their Gram matrix."
    ),
    minutes=30,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
)

if __name__ == "__main__":
    command.main(CLAIM)
