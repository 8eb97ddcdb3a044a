"""Training batches that depend on the seed and their number alone."""

from typing import Any

import keras
import numpy as np

from common.command import UsageError
from common.datasets import Images

LARGEST_SHIFT = 2


def steps_per_epoch(images: Images, batch_size: int) -> int:
    """Number of full batches in the training images."""
    steps = len(images.train_images) // batch_size
    if not steps:
        raise UsageError(
            f"argument --batch-size: must be at most {len(images.train_images)}, the number of "
            f"training images. Received: {batch_size}"
        )
    return steps


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled batches of one epoch, of another one after each call of `begin`.

    A batch is a function of the seed, the epoch and its place in it: the batches of a resumed
    run are those that the uninterrupted run would have seen. What does not fill a batch is left
    out, other images in each epoch.

    Args:
        images: The data.
        batch_size: Number of images in a batch.
        seed: Seed of the order, the shifts and the mirroring.
        first_epoch: Number of finished epochs.

    Attributes:
        epoch: Number of the epoch, from 0.
    """

    def __init__(self, images: Images, batch_size: int, seed: int, first_epoch: int = 0) -> None:
        super().__init__()
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = first_epoch
        self._steps = steps_per_epoch(images, batch_size)
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._shuffled()[index * self.batch_size : (index + 1) * self.batch_size]
        random = np.random.default_rng((self.seed, self.epoch, index))
        return self.prepared(self.images.train_images[chosen], random), self.images.train_labels[
            chosen
        ]

    def prepared(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Moved by up to two pixels each way, mirrored where the data allows it, standardized."""
        pixels = _shifted(pixels, random)
        if self.images.mirrored:
            pixels = _mirrored(pixels, random)
        return self.images.standardized(pixels)

    @property
    def callback(self) -> keras.callbacks.Callback:
        """What has to be among the callbacks of `fit`, and says which epoch it is.

        The calls of `on_epoch_end` do not: `fit` goes through some batches, on a strategy through
        all of them, before its first epoch begins.
        """
        return keras.callbacks.LambdaCallback(on_epoch_begin=self.begin)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Turns to the batches of an epoch."""
        self.epoch = epoch

    def _shuffled(self) -> np.ndarray:
        if self._order is None or self._order[0] != self.epoch:
            random = np.random.default_rng((self.seed, self.epoch))
            self._order = self.epoch, random.permutation(len(self.images.train_images))
        return self._order[1]


class GenerativeBatches(TrainingBatches):
    """The same with the images in [-1, 1], as a generator makes them, and not moved."""

    def __getitem__(self, index: int) -> np.ndarray:
        return super().__getitem__(index)[0]

    def prepared(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.images.mirrored:
            pixels = _mirrored(pixels, random)
        return self.images.symmetric(pixels)


def _shifted(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Every image moved by its own random number of pixels, what comes in is black."""
    count, height, width = images.shape[:3]
    border = (LARGEST_SHIFT, LARGEST_SHIFT)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)))
    starts = random.integers(0, 2 * LARGEST_SHIFT + 1, (2, count, 1))
    rows, columns = starts[0] + np.arange(height), starts[1] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _mirrored(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Every second image, by chance, from right to left."""
    chance = random.random((len(images), 1, 1, 1))
    return np.where(chance < 0.5, images, images[:, :, ::-1])
