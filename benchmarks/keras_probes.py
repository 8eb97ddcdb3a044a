"""What `benchmarks.compare_keras` does to both wrappers: one function for each row of its table."""

import dataclasses
import statistics
from collections.abc import Callable
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
