"""Measures contenders of one framework on one network, in one process.

    python -m benchmarks.speed.measure --framework project --network vgg7

Prints and stores the median of the ratios to the un-normalized network, round by round, of a
training step, of building the model and taking the first step, and of inference as trained and
folded.
"""

import argparse
import gc
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.command_line import Parser, command_of, listed, versions, whole_number
from benchmarks.files import write_whole
from benchmarks.speed import pairing

FRAMEWORKS = {
    "project": "benchmarks.speed.project",
    "keras2": "benchmarks.speed.keras2",
    "torch": "benchmarks.speed.with_torch",
    "flax": "benchmarks.speed.with_flax",
    "equinox": "benchmarks.speed.with_equinox",
}
BASELINE = "none"
WARM_UP_STEPS = 3


def contenders_of(framework: Any, options: argparse.Namespace) -> list[str]:
    """The names that were asked for, or all; the baseline comes first."""
    names = options.contenders or list(framework.CONTENDERS)
    return [BASELINE, *(name for name in names if name != BASELINE)]


def warm_up(calls: dict[str, Any]) -> None:
    """Call each a few times."""
    for call in calls.values():
        for _ in range(WARM_UP_STEPS):
            call()


def first_steps(
    framework: Any, names: list[str], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds to build each contender's model and take its first step, in interleaved rounds.

    The first round warms the process with throw-away models, and does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.first_steps + 1):
        for name in names if number else names[:1]:
            gc.collect()
            start = time.perf_counter()
            made = framework.model(options.network, name)
            framework.training_step(made, options.network, options.batch, options.compile)()
            if number:
                times[name].append(time.perf_counter() - start)
            del made
    return times


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of the contenders on the network."""
    framework = importlib.import_module(FRAMEWORKS[options.framework])
    names = contenders_of(framework, options)
    figures: dict[str, Any] = {}
    if options.first_steps:
        times = first_steps(framework, names, options)
        figures["first step"] = pairing.compared(times, BASELINE)
    made = {name: framework.model(options.network, name) for name in names}
    steps = {
        name: framework.training_step(model, options.network, options.batch, options.compile)
        for name, model in made.items()
    }
    report(figures, "first step")
    warm_up(steps)
    if options.rounds:
        times = pairing.interleaved(steps, options.rounds, options.calls, options.seed)
        figures["training step"] = pairing.compared(times, BASELINE)
        report(figures, "training step")
    if options.inference:
        calls = {
            name: framework.inference(model, options.network, options.batch)
            for name, model in made.items()
        }
        for name, model in made.items():
            folded = framework.folded(model)
            if folded is not None:
                call = framework.inference(folded, options.network, options.batch)
                calls[f"{name}, folded"] = call
        warm_up(calls)
        times = pairing.interleaved(calls, options.inference, options.calls, options.seed)
        figures["inference"] = pairing.compared(times, BASELINE)
        report(figures, "inference")
    return figures


def report(figures: dict[str, Any], title: str) -> None:
    """Print the ratios of one kind."""
    for name, found in figures.get(title, {}).items():
        print(
            f"{title}: {name}: {found['ratio']:.3f} ({found['lower_quartile']:.3f} to "
            f"{found['upper_quartile']:.3f}), {found['milliseconds']:.1f} ms",
            flush=True,
        )


def parser(module: str, description: str, network: bool = True) -> Parser:
    """The options that the scripts of this folder have in common."""
    made = Parser(f"speed.{module}", description)
    add = made.add_argument
    if network:
        add("--framework", choices=FRAMEWORKS, required=True)
        add("--network", required=True)
    add("--contenders", nargs="+", help="all of the framework if not given")
    add("--batch", type=whole_number, default=32)
    add("--compile", action="store_true", help="XLA for the training step (TensorFlow)")
    add("--rounds", type=whole_number, default=40, help="of training steps")
    add("--calls", type=whole_number, default=5, help="in a row in each round")
    add("--seed", type=whole_number, default=0, help="of the order of the contenders")
    add("--json", type=Path, help="file for the figures")
    return made


def print_header(module: str, options: argparse.Namespace) -> None:
    """Versions, seed and command."""
    print(f"{listed(versions())}; seed {options.seed}; backend {backend()}")
    print(f"command: {command_of(f'speed.{module}')}", flush=True)


def backend() -> str:
    """The backend of Keras, where a framework uses Keras."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def on_tensorflow(framework: str) -> bool:
    """Whether a framework's steps are those of TensorFlow."""
    return framework in ("project", "keras2") and backend() == "tensorflow"


def store(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the figures, and what they are figures of; a file is there whole or not at all."""
    if options.json is None:
        return
    found = {
        "versions": versions(),
        "backend": backend(),
        **{name: value for name, value in vars(options).items() if name != "json"},
        "figures": figures,
    }
    write_whole(options.json, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    made = parser("measure", __doc__)
    made.add_argument("--first-steps", type=whole_number, default=0, help="rounds of first steps")
    made.add_argument("--policy", default="float32", help="precision of Keras' layers")
    made.add_argument("--inference", type=whole_number, default=0, help="rounds of inference")
    options = made.parse_args()
    print_header("measure", options)
    if options.policy != "float32":
        import keras

        keras.config.set_dtype_policy(options.policy)
    store(options, measured(options))


if __name__ == "__main__":
    main()
