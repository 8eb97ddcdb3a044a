"""How closely vectors follow kernels in training, on Fashion-MNIST.

    python -m benchmarks.tracking

A network is trained with spectral normalization and Adam, and its kernels are recorded after each
step. Each tracker then passes over the recorded kernels. Printed is the true norm over the σ that
a training call would have used, of the worst layer: the median and the maximum over all steps.
"""

import statistics

import keras
import numpy as np

from benchmarks.command_line import Parser, command_of, listed, versions, whole_number
from tfspecnorm import norms
from tfspecnorm.layers import SpectralNorm

TRACKERS = {
    "one vector": (1, 1),
    "one vector, two iterations": (1, 2),
    "one vector, five iterations": (1, 5),
    "two vectors": (2, 1),
    "four vectors": (4, 1),
}
BATCH = 64


def mlp() -> keras.Model:
    """Three hidden layers of 256 units."""
    hidden = [SpectralNorm(keras.layers.Dense(256, activation="relu"), scale=2.0) for _ in range(3)]
    head = keras.layers.Dense(10)
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), *hidden, head])


def cnn() -> keras.Model:
    """Three convolutions and a dense layer."""
    hidden = [
        SpectralNorm(
            keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu"), scale=2.0
        )
        for filters in (32, 64, 128)
    ]
    last = SpectralNorm(keras.layers.Dense(128, activation="relu"), scale=2.0)
    shape = keras.layers.Reshape((28, 28, 1))
    head = keras.layers.Dense(10)
    return keras.Sequential(
        [keras.Input((28, 28)), shape, *hidden, keras.layers.Flatten(), last, head]
    )


def recorded(
    model: keras.Model, rate: float, steps: int
) -> list[tuple[norms.LinearMap, list[np.ndarray]]]:
    """The linear map of each wrapped kernel, and its values after each step."""
    (images, labels), _ = keras.datasets.fashion_mnist.load_data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    order = np.random.default_rng(0).permutation(len(images))
    kernels = [
        kernel
        for layer in model.layers
        if isinstance(layer, SpectralNorm)
        for kernel in layer.kernels
    ]
    found: list[list[np.ndarray]] = [[] for _ in kernels]
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        model.train_on_batch(images[chosen].astype("float32") / 255.0, labels[chosen])
        for kernel, values in zip(kernels, found, strict=True):
            values.append(keras.ops.convert_to_numpy(kernel.variable.value))
    return [(kernel.linear_map, own) for kernel, own in zip(kernels, found, strict=True)]


def ratios(
    linear_map: norms.LinearMap, values: list[np.ndarray], exact: list[float], tracker: str
) -> list[float]:
    """The true norm over σ at each step."""
    vectors, iterations = TRACKERS[tracker]
    norm = norms.Matrix(tracked_vectors=vectors)
    state = {
        name: keras.ops.convert_to_tensor(value, "float32")
        for name, value in norm.initial_state(values[0], linear_map).items()
    }
    found = []
    for value, wanted in zip(values[1:], exact, strict=True):
        measured = norm(keras.ops.convert_to_tensor(value), state, linear_map, iterations)
        state = measured.state
        found.append(wanted / float(measured.sigma))
    return found


def largest(linear_map: norms.LinearMap, value: np.ndarray) -> float:
    """The largest singular value of the matrix, by LAPACK in double precision."""
    matrix = linear_map.matrix(value, np).astype("float64")
    return float(np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix).max()))


def main() -> None:
    parser = Parser("tracking", __doc__)
    parser.add_argument("--steps", type=whole_number, default=300)
    parser.add_argument("--seed", type=whole_number, default=0)
    options = parser.parse_args()
    print(f"{listed(versions())}; seed {options.seed}\ncommand: {command_of('tracking')}")
    for network in (mlp, cnn):
        for rate in (1e-3, 1e-2):
            keras.utils.set_random_seed(options.seed)
            kernels = recorded(network(), rate, options.steps)
            exact = [[largest(map_, value) for value in values[1:]] for map_, values in kernels]
            for tracker in TRACKERS:
                layers = [
                    ratios(*layer, norms_, tracker)
                    for layer, norms_ in zip(kernels, exact, strict=True)
                ]
                worst = [max(step) for step in zip(*layers, strict=True)]
                print(
                    f"{network.__name__}, Adam {rate:g}: {tracker}: "
                    f"{statistics.median(worst):.4f} / {max(worst):.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
