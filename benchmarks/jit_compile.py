"""Does XLA for the power iteration alone pay? Decides what `jit_compile="auto"` means.

    KERAS_BACKEND=tensorflow python -m benchmarks.jit_compile

Times a training step of MobileNetV2 (alpha 0.5, 32×32 images, batch 32) as a TensorFlow graph, with
SpectralNorm on every dense layer and every convolution that is not depthwise.
"""

import time

import keras

from benchmarks import mobile_net
from benchmarks.command_line import Parser, positive_integer, print_provenance, whole_number
from benchmarks.speed import measure, pairing


def main() -> None:
    parser = Parser("jit_compile", __doc__)
    add = parser.add_argument
    add("--seed", type=whole_number, default=0, help="seed of Python, NumPy and Keras")
    add("--rounds", type=positive_integer, default=40, help="rounds of step times")
    add("--steps", type=positive_integer, default=5, help="steps timed in one go")
    arguments = parser.parse_args()
    print_provenance("jit_compile", arguments.seed)
    print()

    keras.utils.set_random_seed(arguments.seed)
    training_steps, first = {"plain": mobile_net.training_step(mobile_net.plain())}, {}
    for jit_compile in (False, True):
        name = f"jit_compile={jit_compile}"
        training_steps[name] = mobile_net.training_step(
            mobile_net.normalized_by_tfspecnorm(jit_compile=jit_compile)
        )
    for name, step in training_steps.items():
        start = time.perf_counter()
        step()
        first[name] = time.perf_counter() - start
    print("| | first step, s | step, ms | relative to plain: median (quartiles) |")
    print("|---|---|---|---|")
    measure.warm_up(training_steps)
    times = pairing.interleaved(training_steps, arguments.rounds, arguments.steps, arguments.seed)
    for name, row in pairing.compared(times, "plain").items():
        quartiles = f"{row['lower_quartile']:.3f} to {row['upper_quartile']:.3f}"
        print(
            f"| {name} | {first[name]:.1f} | {row['milliseconds']:.1f} "
            f"| {row['ratio']:.3f} ({quartiles}) |"
        )


if __name__ == "__main__":
    main()
