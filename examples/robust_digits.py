"""Trains a network whose robustness is certified, and attacks it within the certificate.

    python examples/robust_digits.py

A small network on the digits of scikit-learn, every layer divided by its own norm, so that its
Lipschitz bound is close to 1 and the margins of its outputs are radii within which no change of
the image alters the class. An attack by gradients then looks for such a change: it must not find
any. The script ends with exit code 1 if it does.
"""

import argparse
import csv
import sys
from pathlib import Path

import common
import keras
import numpy as np
from common.backend import require_tensorflow
from common.command import command_line
from common.offline import DIGITS_TEST_IMAGES
from common.options import OUTPUTS, SMOKE_EPOCHS, Parser, positive_integer, seed
from common.output import OutputFolder
from common.run import versions

import tfspecnorm

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    sys.exit(common.missing_package(error))

RADII = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
EPOCHS, BATCH_SIZE, LEARNING_RATE = 100, 64, 3e-3
# Outputs of a network with constant 1 differ little: without it the loss asks for no more.
TEMPERATURE = 10.0
ATTACK_STEPS, RESTARTS = 40, 3
SMOKE_TEST_IMAGES, SMOKE_STEPS = 96, 5
# The certificate holds for closer inputs, in exact arithmetic; an image in 32 bits is rounded.
WITHIN = 1 - 1e-4


def main() -> None:
    require_tensorflow("this example")
    options = parse_options()
    folder = OutputFolder(options.output)
    try:
        train_and_attack(options, folder)
    finally:
        folder.release()


def parse_options() -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--epochs", type=positive_integer, help=f"default: {EPOCHS}, {SMOKE_EPOCHS} with --smoke")
    add("--seed", type=seed, default=0, help="of weights, batches, attacks (default: %(default)s)")
    add("--smoke", action="store_true", help="few images and steps, to see that all works")
    add(
        "--output", type=Path, help="folder for radii.csv (default: savedmodels/demo/robust_digits)"
    )
    options = parser.parse_args()
    if options.epochs is None:
        options.epochs = SMOKE_EPOCHS if options.smoke else EPOCHS
    if options.output is None:
        options.output = OUTPUTS / f"robust_digits{'-smoke' if options.smoke else ''}"
    return options


def train_and_attack(options: argparse.Namespace, folder: OutputFolder) -> None:
    print(f"robust digits, seed {options.seed}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"command: {command_line()}")
    print(f"output: {folder.path}")
    train_images, train_labels, test_images, test_labels = load_digits()
    if options.smoke:
        test_images, test_labels = test_images[:SMOKE_TEST_IMAGES], test_labels[:SMOKE_TEST_IMAGES]

    keras.utils.set_random_seed(options.seed)
    model = network()
    steps = options.epochs * -(-len(train_images) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(train_images, train_labels, BATCH_SIZE, options.epochs, verbose=0)

    # σ has followed the kernels by one iteration a step; converged, no layer exceeds 1.
    tfspecnorm.warm_up(model)
    folded = tfspecnorm.fold(model)
    bound = tfspecnorm.lipschitz_bound(folded)
    print(f"\n{bound}\n")
    certified = tfspecnorm.certified_radius(folded, test_images, test_labels, bound)

    attack = Attack(folded, options.seed, SMOKE_STEPS if options.smoke else ATTACK_STEPS)
    rows = []
    changed = np.zeros(len(test_labels), bool)
    print("| radius | certified accuracy | attacked accuracy |")
    print("|---|---|---|")
    for radius in RADII:
        # What changed the class at a smaller radius does so at a larger one.
        changed |= attack(test_images, test_labels, np.full(len(test_labels), radius))
        check(changed & (certified > radius), f"radius {radius:g}")
        rows.append((radius, float(np.mean(certified > radius)), float(np.mean(~changed))))
        print("| {:g} | {:.1%} | {:.1%} |".format(*rows[-1]))
    changed = attack(test_images, test_labels, certified)
    check(changed & (certified > 0), "the radius of each image")
    print(f"\nEach image attacked at its own certified radius: {np.sum(certified > 0)} hold")
    with folder.writing("radii.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("radius", "certified_accuracy", "attacked_accuracy"))
        writer.writerows(rows)


def check(broken: np.ndarray, where: str) -> None:
    """Raises a `CheckError` if an image changed its class within its certified radius."""
    if np.any(broken):
        raise common.CheckError(
            f"the certificate is broken at {where}: test images {np.flatnonzero(broken).tolist()} "
            "change their class within their certified radii"
        )


def load_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of 8×8 pixels in [0, 1] and labels, for training and for the test."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    scans, labels = datasets.load_digits(return_X_y=True)
    # Scans have the levels 0 to 16.
    images = (scans / 16).reshape(-1, 8, 8, 1).astype("float32")
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=DIGITS_TEST_IMAGES, stratify=labels, random_state=0
    )
    return train_images, train_labels, test_images, test_labels


def network() -> keras.Model:
    """Two strided convolutions and two dense layers, each with norm 1."""
    layers = [
        keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *(
                layer
                if isinstance(layer, keras.layers.Flatten)
                else tfspecnorm.layers.SpectralNorm(layer, norm="operator", name=f"normal_{index}")
                for index, layer in enumerate(layers)
            ),
        ],
        name="robust_digits",
    )


def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of the outputs, made larger so that it asks for margins."""
    return keras.losses.sparse_categorical_crossentropy(
        labels, TEMPERATURE * logits, from_logits=True
    )


class Attack:
    """Projected gradient descent on the margin, within a ball around each image.

    Pixels may leave [0, 1]: the certificate covers such images too.

    Args:
        model: Built model with logits.
        seed: Of the random starts.
        steps: Gradient steps from each start.
    """

    def __init__(self, model: keras.Model, seed: int, steps: int) -> None:
        self.model, self.steps = model, steps
        self.random = np.random.default_rng(seed)

    def __call__(self, images: np.ndarray, labels: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Whether an image within the radius of each one has another class than its label."""
        limits = tf.constant(WITHIN * radii.reshape(-1, 1, 1, 1), tf.float32)
        found = np.zeros(len(images), bool)
        restarts, steps = (RESTARTS, self.steps) if np.any(radii) else (1, 0)
        for restart in range(restarts):
            # The first start is the image itself.
            start = (restart > 0) * self.random.standard_normal(images.shape)
            change = _shortened(tf.constant(start, tf.float32), limits)
            for _ in range(steps + 1):
                change, wrong = self._step(images, tf.constant(labels), change, limits)
                found |= wrong.numpy()
        return found

    @tf.function
    def _step(
        self, images: tf.Tensor, labels: tf.Tensor, change: tf.Tensor, limits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(change)
            logits = self.model(images + change, training=False)
            right = tf.one_hot(labels, logits.shape[-1], True, False, dtype=tf.bool)
            own = tf.reduce_sum(tf.where(right, logits, 0.0), axis=1)
            other = tf.reduce_max(tf.where(right, logits.dtype.min, logits), axis=1)
            margins = own - other
        gradient = tape.gradient(margins, change)
        # Steps of a tenth of the radius, as long for every image however flat its margin is.
        moved = change - 0.1 * limits * gradient / (_lengths(gradient) + 1e-12)
        return _shortened(moved, limits), margins <= 0


def _lengths(changes: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(changes), axis=(1, 2, 3), keepdims=True))


def _shortened(changes: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    return changes * tf.minimum(1.0, limits / (_lengths(changes) + 1e-12))


if __name__ == "__main__":
    sys.exit(common.run_script(main))
