"""`tfspecnorm.layers.SpectralNorm` beside `keras.layers.SpectralNormalization`, measured.

    python -m benchmarks.compare_keras --json output/compare_keras.json
    KERAS_BACKEND=jax python -m benchmarks.compare_keras

Every probe does the same to both wrappers and reports what came out; nothing is asserted. The
time of a training step is measured on TensorFlow only.
"""

import json
from pathlib import Path
from typing import Any

import keras

from benchmarks import mobile_net
from benchmarks.command_line import (
    Parser,
    command_of,
    listed,
    positive_integer,
    versions,
    whole_number,
)
from benchmarks.files import write_whole
from benchmarks.keras_probes import PROBES, WRAPPERS
from benchmarks.speed import measure, pairing


def text(value: Any) -> str:
    """A result as it stands in the table."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(part)}" for name, part in value.items())
    if isinstance(value, float):
        return "0" if value == 0 else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
    return str(value)


def step_times(rounds: int, steps: int, seed: int) -> dict[str, dict[str, float]]:
    """Times of training steps of MobileNetV2 relative to the one called "plain"."""
    keras.utils.set_random_seed(seed)
    keras_name, our_name = WRAPPERS
    training_steps = {
        "plain": mobile_net.training_step(mobile_net.plain()),
        keras_name: mobile_net.training_step(mobile_net.normalized_by_keras()),
        our_name: mobile_net.training_step(mobile_net.normalized_by_tfspecnorm()),
    }
    measure.warm_up(training_steps)
    times = pairing.interleaved(training_steps, rounds, steps, seed)
    return pairing.compared(times, "plain")


def main() -> None:
    parser = Parser("compare_keras", __doc__)
    add = parser.add_argument
    add("--seed", type=whole_number, default=0, help="seed of Python, NumPy and Keras")
    add("--rounds", type=whole_number, default=40, help="rounds of step times; 0 for none")
    add("--steps", type=positive_integer, default=5, help="steps timed in one go")
    add("--json", type=Path, help="file for the unrounded results")
    arguments = parser.parse_args()

    report: dict[str, Any] = {
        "versions": versions(),
        "backend": keras.backend.backend(),
        "seed": arguments.seed,
        "command": command_of("compare_keras"),
        "results": {},
    }
    print(f"Backend {report['backend']}; {listed(report['versions'])}; seed {arguments.seed}")
    print(f"Command: {report['command']}\n")
    print("| probe | wanted | " + " | ".join(f"`{name}`" for name in WRAPPERS) + " |")
    print("|---" * (2 + len(WRAPPERS)) + "|")
    for each in PROBES:
        results = {}
        for name, wrap in WRAPPERS.items():
            keras.utils.set_random_seed(arguments.seed)
            results[name] = each.measure(wrap)
        report["results"][each.title] = results
        cells = " | ".join(text(results[name]) for name in WRAPPERS)
        print(f"| {each.title} | {each.wanted} | {cells} |", flush=True)
    if report["backend"] == "tensorflow" and arguments.rounds:
        times = step_times(arguments.rounds, arguments.steps, arguments.seed)
        report["step_time"] = times
        cells = " | ".join(
            f"{measured['ratio']:.3f} "
            f"({measured['lower_quartile']:.3f} to {measured['upper_quartile']:.3f})"
            for measured in (times[name] for name in WRAPPERS)
        )
        print(
            f"| training step of MobileNetV2 relative to none: median (quartiles) | 1 | {cells} |"
        )
    if arguments.json:
        write_whole(arguments.json, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
