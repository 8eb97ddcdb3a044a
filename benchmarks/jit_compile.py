"""Does XLA for the power iteration alone pay? Decides what `jit_compile="auto"` means.

    KERAS_BACKEND=tensorflow python benchmarks/jit_compile.py

Times a training step of MobileNetV2 (alpha 0.5, 32×32 images, batch 32) as a TensorFlow graph, with
SpectralNorm on every dense layer and every convolution that is not depthwise.
"""

import argparse
import sys
import time

import keras
from compare_keras import (
    mobile_net,
    normalized_by_tfspecnorm,
    step_time_ratios,
    training_step,
    versions,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of Python, NumPy and Keras")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of step times")
    parser.add_argument("--steps", type=int, default=5, help="steps timed in one go")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"seed {arguments.seed}, command: python {' '.join(sys.argv)}\n")

    keras.utils.set_random_seed(arguments.seed)
    training_steps, first = {"plain": training_step(mobile_net())}, {}
    for jit_compile in (False, True):
        name = f"jit_compile={jit_compile}"
        training_steps[name] = training_step(normalized_by_tfspecnorm(jit_compile=jit_compile))
    for name, step in training_steps.items():
        start = time.perf_counter()
        step()
        first[name] = time.perf_counter() - start
    print("| | first step, s | step, ms | relative to plain: median (quartiles) |")
    print("|---|---|---|---|")
    measured = step_time_ratios(training_steps, arguments.rounds, arguments.steps)
    for name, row in measured.items():
        quartiles = f"{row['lower_quartile']:.3f} to {row['upper_quartile']:.3f}"
        print(
            f"| {name} | {first[name]:.1f} | {row['milliseconds']:.1f} "
            f"| {row['ratio']:.3f} ({quartiles}) |"
        )


if __name__ == "__main__":
    main()
