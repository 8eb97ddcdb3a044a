"""MSN: drift of means, exact zeros and the covariance of gradients, in a network in training.

python -m benchmarks.claims.drift
"""

import dataclasses
from typing import Any

import keras

from benchmarks.claims import classifiers, command, spread
from benchmarks.claims.claim import LABELLED, Claim, Finding, Results, Run, Setting
from benchmarks.claims.classifiers import SHORT, Protocol
from benchmarks.claims.drift_curves import draw
from benchmarks.claims.drift_numbers import CONTENDERS, MEASURES, collected, described, larger
from benchmarks.claims.drift_recorder import Recorder

RATE = 1e-3
_READ_OFF = "read off the authors' plots, DenseNet on CIFAR-10: "
_BLOCKS = (
    "the authors' layers have no spectral normalization but batch normalization behind them, in "
    "their SN and MSN networks too; "
)


def runs(setting: Setting) -> list[Run]:
    contenders = CONTENDERS[1:3] if setting.scale == "smoke" else CONTENDERS
    return [
        Run(
            f"{normalization}-slope-{slope:g}-seed-{seed}",
            {**_sizes(setting, slope), "normalization": normalization, "seed": seed},
        )
        for normalization, slope in contenders
        for seed in setting.seeds_or(3)
    ]


def _sizes(setting: Setting, slope: float) -> dict[str, Any]:
    """The options that all seeds share."""
    protocol = classifiers.protocol_of(setting, "vgg7")
    protocol = dataclasses.replace(
        protocol,
        epochs=setting.pick(small=30, paper=protocol.epochs, smoke=1),
        # The same for all: no noise of a dropout in the gradients.
        arguments={**protocol.arguments, "dropout": 0.0},
        rates=(RATE,),
        slope=slope,
    )
    return {
        **protocol.options,
        **classifiers.whole(),
        "training": setting.pick(small=None, paper=None, smoke=64),
        "batches": setting.pick(small=64, paper=64, smoke=4),
        "watched": 256,
    }


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Trains VGG7 and measures before the first and after every epoch."""
    options = run.options
    keras.utils.set_random_seed(options["seed"])
    protocol = Protocol.of(options)
    split = classifiers.images_of(setting, options)
    model = classifiers.compiled(protocol, options["normalization"], split, options["seed"])
    classifiers.Start(model).restore(*protocol.rates)
    recorder = Recorder(split, protocol, options["batches"], options["watched"])
    history = model.fit(
        *split.training,
        batch_size=protocol.batch_size,
        epochs=protocol.epochs,
        verbose=0,
        callbacks=[recorder],
    ).history
    return {**recorder.figures, "history": history}


def _verdict(measure: str, pairs: list[tuple[str, str]], results: Results) -> str:
    """Whether each first one of the pairs lies above its second one, with ReLU in both."""
    values = collected(results, measure)
    return spread.judged(
        [larger(*(values.get((name, 0.0), []) for name in pair)) for pair in pairs]
    )


def _ours(measure: str, results: Results) -> str:
    title, digits, _ = MEASURES[measure]
    values = collected(results, measure)
    cells = [
        f"{SHORT[name]} {described(values[name, slope], digits)}"
        for name, slope in CONTENDERS
        if not slope and (name, slope) in values
    ]
    return f"{title}: {', '.join(cells)}" if cells else "–"


def findings(results: Results) -> list[Finding]:
    spectral, mean, batch = "spectral", "mean-spectral", "batch"
    relu = "VGG7 at a quarter of the width on digits, ReLU in all"
    scale = (
        "under SN and MSN the kernel's scale has no effect on the output, and the gradient is "
        "inversely proportional to it"
    )
    unknown = "not verified; the authors' code measures the drift of weights, not of activations"
    rows = (
        (
            "Under SN the means of the activations' channels drift, more than under BN and MSN",
            unknown,
            "channels",
            [(spectral, batch), (spectral, mean)],
            "drift of the channels' means before the activation, over one batch in training mode, "
            "where MSN's means are its biases, relative to their deviation; ",
        ),
        (
            "Under SN the mean of all activations of a layer drifts, more than under BN and MSN",
            unknown,
            "layer",
            [(spectral, batch), (spectral, mean)],
            "drift of the mean of all entries before the activation, over one batch in training "
            "mode, relative to their deviation; ",
        ),
        (
            "Under SN the mean of the weights drifts, more than under BN and MSN",
            f"{_READ_OFF}means at the end in three layers SN −0.087, −0.033, −0.125, "
            "BN −0.027, −0.022, 0.008, MSN −0.023, −0.033, 0.015; on MNIST SN stays within ±0.005, "
            "BN within [−0.07, 0]",
            "kernels",
            [(spectral, batch), (spectral, mean)],
            f"relative to the deviation of the entries; {_BLOCKS}",
        ),
        (
            "SN and MSN have more exact zeros in gradients than BN",
            f"{_READ_OFF}two layers BN 0.20, 0.155, SN 0.43, 0.37, MSN 0.43, 0.345",
            "zeros",
            [(spectral, batch), (mean, batch)],
            f"the table has SN and MSN with a leaky ReLU too; {_BLOCKS}",
        ),
        (
            "SN controls the variance of gradients: it is smaller than under BN",
            "not verified",
            "variance",
            [(batch, spectral)],
            f"{scale}; ",
        ),
        (
            "The eigenvalues of gradients are larger under SN and MSN than under BN",
            "read off the authors' plots, without figures: BN lowest, SN and MSN higher",
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
            described(values[name].get(key, []), digits)
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


CLAIM = Claim(
    name="drift",
    title="MSN: drift of means, and gradients",
    source="Subramanian, Chong, arXiv:1907.04003; measures and figures from the authors' code.",
    setup=(
        "VGG7 at a quarter of the width without dropout on the digits of scikit-learn, 30 epochs "
        "of Adam with rate 1e-3, batches of 32, three seeds. After each epoch: means of what goes "
        "into each activation, in training mode over one batch of 256 test images; means of each "
        "kernel; exact zeros in the gradient of one mini-batch. Seven times: the covariance of the "
        "gradients of 64 mini-batches, whose eigenvalues are those of their Gram matrix. A "
        "seed whose figures are no numbers, or that has a dead layer, has diverged: it counts as "
        "the number, of those found, that speaks most against the claim."
    ),
    minutes=30,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=LABELLED,
)

if __name__ == "__main__":
    command.main(CLAIM)
