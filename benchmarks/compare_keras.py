"""`tfspecnorm.layers.SpectralNorm` beside `keras.layers.SpectralNormalization`, measured.

    python benchmarks/compare_keras.py --json output/compare_keras.json
    KERAS_BACKEND=jax python benchmarks/compare_keras.py

Every probe does the same to both wrappers and reports what came out; nothing is asserted. The
time of a training step is measured on TensorFlow only.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import tfspecnorm

Wrapper = Callable[[keras.layers.Layer], keras.layers.Layer]
WRAPPERS: dict[str, Wrapper] = {
    "keras.layers.SpectralNormalization": keras.layers.SpectralNormalization,
    "tfspecnorm.layers.SpectralNorm": tfspecnorm.layers.SpectralNorm,
}
SIZE = 256
FIRST_USE_SEEDS = 20


@dataclasses.dataclass(frozen=True)
class Probe:
    """One measurement: what it is, what a user wants, and how it is taken of a wrapper."""

    title: str
    wanted: str
    measure: Callable[[Wrapper], Any]


PROBES: list[Probe] = []


def probe(title: str, wanted: str) -> Callable[[Callable], Callable]:
    """Adds a function from a wrapper to a result to the table."""

    def add(measure: Callable[[Wrapper], Any]) -> Callable[[Wrapper], Any]:
        PROBES.append(Probe(title, wanted, measure))
        return measure

    return add


def dense(wrap: Wrapper, kernel: Any = None, **kwargs: Any) -> keras.layers.Layer:
    """A built wrapper of a square dense layer without bias, with a normal kernel."""
    initializer = keras.initializers.RandomNormal(stddev=0.05, seed=1)
    wrapped = wrap(
        keras.layers.Dense(SIZE, use_bias=False, kernel_initializer=kernel or initializer),
        **kwargs,
    )
    wrapped.build((None, SIZE))
    return wrapped


def kernel_of(wrapped: keras.layers.Layer) -> np.ndarray:
    """A copy of the variable that the optimizer trains."""
    return np.array(ops.convert_to_numpy(ops.cast(wrapped.layer.kernel.value, "float32")))


def used_kernel(wrapped: keras.layers.Layer, training: bool) -> np.ndarray:
    """What the layer multiplies with, read off its answer to the unit vectors."""
    return ops.convert_to_numpy(wrapped(np.eye(SIZE, dtype="float32"), training=training))


def largest_singular_value(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix.astype("float64"), 2))


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def kernel_gradient(wrapped: keras.layers.Layer, inputs: np.ndarray) -> np.ndarray:
    """Gradient of a loss with respect to the trained kernel, in training mode."""
    target = ops.convert_to_tensor(normal(len(inputs), SIZE))
    inputs = ops.convert_to_tensor(inputs)

    def loss_of(outputs: Any) -> Any:
        return ops.mean(ops.square(outputs - target))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(wrapped(inputs, training=True))
        gradient = tape.gradient(loss, wrapped.layer.kernel.value)
    elif backend == "jax":
        import jax

        def loss_from(trainable: list) -> Any:
            state = [variable.value for variable in wrapped.non_trainable_variables]
            return loss_of(wrapped.stateless_call(trainable, state, inputs, training=True)[0])

        (gradient,) = jax.grad(loss_from)([v.value for v in wrapped.trainable_variables])
    else:
        loss_of(wrapped(inputs, training=True)).backward()
        gradient = wrapped.layer.kernel.value.grad
    return ops.convert_to_numpy(gradient)


@probe("⟨gradient, W⟩ / (‖gradient‖·‖W‖)", "0")
def gradient_along_kernel(wrap: Wrapper) -> float:
    wrapped = dense(wrap)
    gradient = kernel_gradient(wrapped, normal(32, SIZE)).astype("float64")
    kernel = kernel_of(wrapped).astype("float64")
    return float(np.sum(gradient * kernel) / np.linalg.norm(gradient) / np.linalg.norm(kernel))


@probe("same input, two training calls: largest difference of the outputs", "small")
def two_calls_outputs(wrap: Wrapper) -> float:
    wrapped, inputs = dense(wrap), normal(8, SIZE)
    first, second = (ops.convert_to_numpy(wrapped(inputs, training=True)) for _ in range(2))
    return float(np.abs(first - second).max())


@probe("same input, two training calls: largest change of the trained W", "0")
def two_calls_kernel(wrap: Wrapper) -> float:
    wrapped, inputs = dense(wrap), normal(8, SIZE)
    before = kernel_of(wrapped)
    for _ in range(2):
        wrapped(inputs, training=True)
    return float(np.abs(kernel_of(wrapped) - before).max())


def first_use(wrap: Wrapper, training: bool) -> dict[str, float]:
    values = []
    for seed in range(FIRST_USE_SEEDS):
        keras.utils.set_random_seed(seed)
        wrapped = dense(wrap, keras.initializers.RandomNormal(stddev=0.05, seed=seed))
        values.append(largest_singular_value(used_kernel(wrapped, training)))
    return {"mean": statistics.mean(values), "max": max(values)}


@probe(f"σ of the kernel used in the first training call ({FIRST_USE_SEEDS} seeds)", "1")
def first_use_in_training(wrap: Wrapper) -> dict[str, float]:
    return first_use(wrap, training=True)


@probe(f"σ of the kernel used in evaluation before training ({FIRST_USE_SEEDS} seeds)", "1")
def first_use_in_evaluation(wrap: Wrapper) -> dict[str, float]:
    return first_use(wrap, training=False)


@probe("σ of the kernel used by `predict` after 20 steps of `fit`", "1")
def after_fit(wrap: Wrapper) -> float:
    model = keras.Sequential([keras.Input((SIZE,)), dense(wrap)])
    model.compile("adam", "mse")
    model.fit(normal(640, SIZE), 3.0 * normal(640, SIZE), batch_size=32, verbose=0)
    return largest_singular_value(model.predict(np.eye(SIZE, dtype="float32"), verbose=0))


def finite_with(wrap: Wrapper, kernel: np.ndarray) -> str:
    wrapped = dense(wrap)
    wrapped.layer.kernel.assign(kernel)
    gradient = kernel_gradient(wrapped, normal(8, SIZE))
    outputs = used_kernel(wrapped, training=False)
    words = ("not finite", "finite")
    return (
        f"outputs {words[bool(np.isfinite(outputs).all())]}, "
        f"gradient {words[bool(np.isfinite(gradient).all())]}"
    )


@probe("a kernel of zeros", "finite")
def zero_kernel(wrap: Wrapper) -> str:
    return finite_with(wrap, np.zeros((SIZE, SIZE), "float32"))


@probe("a kernel with entries near 1e-30", "finite")
def tiny_kernel(wrap: Wrapper) -> str:
    return finite_with(wrap, 1e-30 * normal(SIZE, SIZE))


@probe("`trainable=False`, called with `training=True`: largest change of W", "0")
def frozen_layer(wrap: Wrapper) -> float:
    wrapped = dense(wrap)
    wrapped.trainable = False
    before = kernel_of(wrapped)
    wrapped(normal(8, SIZE), training=True)
    return float(np.abs(kernel_of(wrapped) - before).max())


@probe("policy `mixed_bfloat16`: share of W's entries rounded to bfloat16 by a call", "0")
def rounded_master_weights(wrap: Wrapper) -> float:
    def policy_aware(layer: keras.layers.Layer, **kwargs: Any) -> keras.layers.Layer:
        layer = type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})
        return wrap(layer, **kwargs)

    wrapped = dense(policy_aware, dtype="mixed_bfloat16")
    before = share_of_bfloat16(kernel_of(wrapped))
    wrapped(normal(8, SIZE), training=True)
    return share_of_bfloat16(kernel_of(wrapped)) - before


def share_of_bfloat16(values: np.ndarray) -> float:
    """Share of float32 values whose last 16 bits, which bfloat16 does not have, are zero."""
    bits = np.ascontiguousarray(values, "float32").view("uint32")
    return float(np.mean((bits & 0xFFFF) == 0))


@probe("`Embedding` of integer ids: dtype of the output", "float32")
def embedding_dtype(wrap: Wrapper) -> str:
    outputs = wrap(keras.layers.Embedding(10, 4))(np.array([[1, 2, 3]]), training=True)
    all_zero = not np.any(ops.convert_to_numpy(outputs))
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    return f"{dtype}, all zero" if all_zero else dtype


def accepts(wrapped: keras.layers.Layer, *inputs: Any) -> str:
    for value in inputs:
        try:
            wrapped(value)
        except ValueError as error:
            return f"refused: {type(error).__name__}"
    return "accepted"


@probe("`Conv2D` with channels first: images of another width", "accepted")
def other_width(wrap: Wrapper) -> str:
    wrapped = wrap(keras.layers.Conv2D(4, 3, data_format="channels_first"))
    return accepts(wrapped, keras.Input((3, 8, 8)), keras.Input((3, 8, 12)))


@probe("`Embedding`: sequences of another length", "accepted")
def other_length(wrap: Wrapper) -> str:
    wrapped = wrap(keras.layers.Embedding(10, 4))
    return accepts(wrapped, np.ones((2, 5), "int32"), np.ones((2, 7), "int32"))


@probe("`Embedding(mask_zero=True)`: mask reaches the next layer", "kept")
def mask(wrap: Wrapper) -> str:
    class Recorder(keras.layers.Layer):
        received = None
        supports_masking = True

        def call(self, inputs: Any, mask: Any = None) -> Any:
            self.received = mask
            return inputs

    recorder = Recorder()
    recorder(wrap(keras.layers.Embedding(10, 4, mask_zero=True))(np.array([[1, 2, 0]])))
    return "lost" if recorder.received is None else "kept"


def is_normalized(layer: keras.layers.Layer) -> bool:
    """Every dense layer and every convolution that is not depthwise."""
    return isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)


def mobile_net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.5, classes=10
    )


def normalized_by_keras() -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        copy = type(layer).from_config(layer.get_config())
        return keras.layers.SpectralNormalization(copy) if is_normalized(layer) else copy

    return keras.models.clone_model(mobile_net(), clone_function=clone)


def normalized_by_tfspecnorm(**options: Any) -> keras.Model:
    def wrapper(layer: keras.layers.Layer) -> keras.layers.Layer:
        return tfspecnorm.layers.SpectralNorm(layer, **options)

    return tfspecnorm.wrap(mobile_net(), wrapper, where=is_normalized)


def training_step(model: keras.Model) -> Callable[[], None]:
    """One step of stochastic gradient descent as a graph, on a fixed batch of 32 images."""
    import tensorflow as tf

    images = tf.constant(normal(32, 32, 32, 3))
    labels = tf.constant(np.arange(32) % 10)
    optimizer = keras.optimizers.SGD(0.001)
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    optimizer.build(model.trainable_variables)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply(gradients, model.trainable_weights)
        return loss

    return lambda: step().numpy()


def step_time_ratios(
    training_steps: dict[str, Callable[[], None]], rounds: int, steps: int
) -> dict[str, dict[str, float]]:
    """Times of training steps relative to the one called "plain", in interleaved rounds."""
    for step in training_steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in training_steps}
    order = list(training_steps)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            for _ in range(steps):
                training_steps[name]()
            times[name].append((time.perf_counter() - start) / steps)
    results = {}
    for name, measured in times.items():
        ratios = [mine / plain for mine, plain in zip(measured, times["plain"], strict=True)]
        quartiles = statistics.quantiles(ratios, n=4)
        results[name] = {
            "milliseconds": 1000 * statistics.median(measured),
            "ratio": quartiles[1],
            "lower_quartile": quartiles[0],
            "upper_quartile": quartiles[2],
        }
    return results


def text(value: Any) -> str:
    """A result as it stands in the table."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(part)}" for name, part in value.items())
    if isinstance(value, float):
        return "0" if value == 0 else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
    return str(value)


def versions() -> dict[str, str]:
    """Versions of everything whose behaviour is in the table."""
    distributions = importlib.metadata.packages_distributions()
    backend = keras.backend.backend()
    found = {"python": platform.python_version(), "tfspecnorm": tfspecnorm.__version__}
    for module in ("keras", backend, "numpy"):
        found[distributions[module][0]] = importlib.metadata.version(distributions[module][0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of Python, NumPy and Keras")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of step times; 0 for none")
    parser.add_argument("--steps", type=int, default=5, help="steps timed in one go")
    parser.add_argument("--json", type=Path, help="file for the unrounded results")
    arguments = parser.parse_args()

    report: dict[str, Any] = {
        "versions": versions(),
        "backend": keras.backend.backend(),
        "seed": arguments.seed,
        "command": " ".join(["python", *sys.argv]),
        "results": {},
    }
    described = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    print(f"Backend {report['backend']}; {described}; seed {arguments.seed}")
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
        keras.utils.set_random_seed(arguments.seed)
        keras_name, our_name = WRAPPERS
        training_steps = {
            "plain": training_step(mobile_net()),
            keras_name: training_step(normalized_by_keras()),
            our_name: training_step(normalized_by_tfspecnorm()),
        }
        report["step_time"] = step_time_ratios(training_steps, arguments.rounds, arguments.steps)
        cells = " | ".join(
            f"{measured['ratio']:.3f} "
            f"({measured['lower_quartile']:.3f} to {measured['upper_quartile']:.3f})"
            for measured in (report["step_time"][name] for name in WRAPPERS)
        )
        print(
            f"| training step of MobileNetV2 relative to none: median (quartiles) | 1 | {cells} |"
        )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
