"""Test accuracy of a separable ResNet whose layers are at most K-Lipschitz, for a number of K.

Part of `benchmarks.claims.depthwise`.
"""

from typing import Any

import keras
import numpy as np

from benchmarks.claims import data
from benchmarks.claims.augmentation import shifted
from benchmarks.claims.claim import Run, Setting
from benchmarks.claims.classifiers import Start
from tfspecnorm import layers, models, scales
from tfspecnorm.models.normalizations import Normalization

HARD, SOFT, PLAIN = "hard", "soft", "none"
# Limits K by scale.
LIMITS = {"small": (1, 2, 3, 5, 8), "paper": tuple(range(1, 11)), "smoke": (5,)}


def runs(setting: Setting) -> list[Run]:
    """One run for each form, limit and seed, with all learning rates, and those without norms."""
    limits = LIMITS[setting.scale]
    limited = setting.pick(small=(HARD, SOFT), paper=(HARD, SOFT), smoke=(SOFT,))
    forms = [(form, limit) for form in limited for limit in limits] + [(PLAIN, None)]
    return [
        Run(
            f"accuracy-{form}{'' if limit is None else f'-{limit}'}-{seed}",
            {"part": "accuracy", "form": form, "limit": limit, "seed": seed, **_sizes(setting)},
        )
        for form, limit in forms
        for seed in setting.seeds_or(3)
    ]


def _sizes(setting: Setting) -> dict[str, Any]:
    sizes = setting.pick(
        small={
            "rates": [1e-4, 1e-3, 1e-2, 1e-1],
            "epochs": 16,
            "batch": 32,
            "width": 0.25,
            "blocks": [2, 2, 2, 2],
            "image": 16,
            "training": 512,
        },
        paper={
            "rates": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
            "epochs": 300,
            "batch": 128,
            "width": 1.0,
            "blocks": [3, 4, 6, 3],
            "image": 32,
            "training": None,
        },
        smoke={
            "rates": [1e-2],
            "epochs": 2,
            "batch": 16,
            "width": 0.125,
            "blocks": [1],
            "image": 8,
            "training": 32,
        },
    )
    # Pixels by which a training image is moved at most.
    moved = setting.scale == "paper" and setting.dataset != "digits"
    return {**sizes, "momentum": 0.9, "shift": 4 if moved else 0}


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Losses and accuracies for each learning rate, from the same start."""
    options = run.options
    keras.utils.set_random_seed(options["seed"])
    smoke = setting.scale == "smoke"
    split = data.split(setting.dataset, options["image"], options["training"], smoke=smoke)
    model = built(options, split.shape, split.classes)
    optimizer = keras.optimizers.SGD(momentum=options["momentum"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    optimizer.build(model.trainable_variables)
    start = Start(model)
    found = []
    for rate in options["rates"]:
        start.restore(rate)
        found.append({"rate": rate, **_trained(model, split, options, rate)})
    return {"rates": found, "classes": split.classes, "parameters": model.count_params()}


def built(options: dict[str, Any], shape: tuple[int, ...], classes: int) -> keras.Model:
    """The network with a fixed factor K, a learned one below K, or as it is; always with ReLU."""
    form, limit = options["form"], options["limit"]
    normalization: Any = {HARD: "scaled-spectral", PLAIN: "none"}.get(form)
    if form == SOFT:
        normalization = Normalization(
            SOFT,
            lambda layer: layers.SpectralNorm(layer, scale=scales.Tanh(limit)),
            unscaled=layers.SpectralNorm,
        )
    return models.resnet_separable(
        shape,
        classes,
        normalization,
        options["width"],
        tuple(options["blocks"]),
        scale=float(limit) if form == HARD else None,
        negative_slope=0.0,
    )


def _trained(
    model: keras.Model, split: data.Split, options: dict[str, Any], rate: float
) -> dict[str, Any]:
    """A training whose rate falls to a tenth at a half and at five sixths of the epochs."""
    epochs, batch = options["epochs"], options["batch"]

    def rate_of(epoch: int) -> float:
        return rate * 0.1 ** ((2 * epoch >= epochs) + (6 * epoch >= 5 * epochs))

    batches = Batches(*split.training, batch, options["seed"], options["shift"], split.mirrored)
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=split.validation,
        callbacks=[
            keras.callbacks.LearningRateScheduler(rate_of),
            keras.callbacks.TerminateOnNaN(),
        ],
        shuffle=False,
        verbose=0,
    ).history
    _, test = model.evaluate(*split.test, batch_size=512, verbose=0)
    return {
        "loss": [float(value) for value in history["loss"]],
        "validation": [float(value) for value in history["val_accuracy"]],
        "test": float(test),
    }


class Batches(keras.utils.PyDataset):
    """Full batches in an order that the seed and the epoch decide.

    Args:
        images: Standardized images.
        labels: Integers.
        batch: Number of images in a batch.
        seed: Seed of order, shifts and mirroring.
        shift: Pixels by which an image is moved at most, or 0 to leave the images as they are.
        mirrored: Whether images that are moved are mirrored too, every second one.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch: int,
        seed: int,
        shift: int = 0,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self._images, self._labels, self._batch = images, labels, batch
        self._random = np.random.default_rng(seed)
        self._shift, self._mirrored = shift, mirrored
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self._images) // self._batch

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._batch : (index + 1) * self._batch]
        images = self._images[chosen]
        if self._shift:
            images = shifted(images, self._random, self._shift, self._mirrored)
        return images, self._labels[chosen]

    def on_epoch_end(self) -> None:
        """Draws a new order."""
        self._order = self._random.permutation(len(self._images))
