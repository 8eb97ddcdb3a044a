"""Does XLA for the power iteration pay? Calls of one wrapper with `jit_compile` True and False.

    KERAS_BACKEND=tensorflow python -m benchmarks.power_iteration_xla

Ratios of the times in each round, by layer, number of iterations and kind of call: an eager
training call of the wrapper, a step of gradient descent as a TensorFlow graph, the first such step.
"""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.command_line import Parser, positive_integer, print_provenance, whole_number
from benchmarks.speed import measure, pairing
from tfspecnorm.layers import SpectralNorm

# Name: what makes the layer, its norm, and the shape of a batch.
LAYERS: dict[str, tuple[Callable[[], keras.layers.Layer], str | None, tuple[int, ...]]] = {
    "dense 512×512": (lambda: keras.layers.Dense(512), None, (4, 512)),
    "convolution 3×3×256×256": (
        lambda: keras.layers.Conv2D(256, 3, padding="same"),
        None,
        (1, 8, 8, 256),
    ),
    'convolution 3×3×64×64, `norm="operator"` at 16×16': (
        lambda: keras.layers.Conv2D(64, 3, padding="same"),
        "operator",
        (1, 16, 16, 64),
    ),
}


def main() -> None:
    parser = Parser("power_iteration_xla", __doc__)
    add = parser.add_argument
    add("--seed", type=whole_number, default=0, help="seed of Python, NumPy and Keras")
    add("--rounds", type=positive_integer, default=25, help="rounds of times")
    add("--calls", type=positive_integer, default=10, help="calls timed in one go")
    add("--iterations", type=positive_integer, nargs="+", default=(1, 2, 8), help="of each call")
    arguments = parser.parse_args()
    print_provenance("power_iteration_xla", arguments.seed)
    print(
        "\n| layer | iterations | eager call | training step | first step |\n|---|---|---|---|---|"
    )
    keras.utils.set_random_seed(arguments.seed)
    # What TensorFlow does once in a process is no part of the first row.
    _calls(SpectralNorm(keras.layers.Dense(2)), (1, 3))[1]()
    for name, (make, norm, shape) in LAYERS.items():
        for iterations in arguments.iterations:
            eager, steps, first = {}, {}, {}
            for compiled in (False, True):
                layer = SpectralNorm(
                    make(), power_iterations=iterations, norm=norm, jit_compile=compiled
                )
                eager[compiled], steps[compiled] = _calls(layer, shape)
                start = time.perf_counter()
                steps[compiled]()
                first[compiled] = time.perf_counter() - start
            found = [_ratio(contenders, arguments) for contenders in (eager, steps)]
            row = (name, iterations, *found, f"{first[True] / first[False]:.1f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def _calls(layer: keras.layers.Layer, shape: tuple[int, ...]) -> tuple[Callable[[], Any], ...]:
    import tensorflow as tf

    inputs = tf.constant(np.random.default_rng(0).standard_normal(shape, "float32"))
    layer.build(shape)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(inputs, training=True)))
        variables = [variable.value for variable in layer.trainable_variables]
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.01 * gradient)

    return lambda: layer(inputs, training=True), step


def _ratio(contenders: dict[bool, Callable[[], Any]], arguments: Any) -> str:
    """XLA's time over that without it: the median of the rounds, and the quartiles."""
    measure.warm_up(contenders)
    times = pairing.interleaved(contenders, arguments.rounds, arguments.calls, arguments.seed)
    row = pairing.compared(times, False)[True]
    return f"{row['ratio']:.2f} ({row['lower_quartile']:.2f} to {row['upper_quartile']:.2f})"


if __name__ == "__main__":
    main()
