"""Images in memory: scikit-learn's offline, the others by tensorflow-datasets."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common import offline
from common.command import UsageError
from common.download import SOURCES, read
from common.resizing import resized

DATASETS = ("digits", *(name for name, source in SOURCES.items() if source.classes))
GENERATIVE_DATASETS = ("digits", "patches", *SOURCES)
SMOKE_TRAIN_IMAGES, SMOKE_TEST_IMAGES = 512, 128
_READ_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set in memory.

    Args:
        name: Name of the data set.
        classes: Number of classes.
        train_images: `uint8` array of shape `(count, size, size, channels)`.
        train_labels: Integer array of shape `(count,)`.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
        mirrored: Whether the mirror image of an example is an example too.
    """

    name: str
    classes: int
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mirrored: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.train_images.shape[1:]

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Mean of each channel over the training images."""
        return self._mean_of(lambda pixels: pixels).astype("float32")

    @functools.cached_property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each channel over the training images, at least one level."""
        variance = self._mean_of(np.square) - self._mean_of(lambda pixels: pixels) ** 2
        return np.sqrt(np.maximum(variance, 1.0)).astype("float32")

    def standardized(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels as a classifier wants them: `float32`, mean 0 and deviation 1."""
        images = pixels.astype("float32")
        images -= self.mean
        images /= self.deviation
        return images

    def standardized_test_images(self) -> np.ndarray:
        """The test images as a classifier wants them."""
        return self.standardized(self.test_images)

    @staticmethod
    def symmetric(pixels: np.ndarray) -> np.ndarray:
        """Pixels as a generator makes them: `float32` in [-1, 1]."""
        return pixels.astype("float32") / 127.5 - 1

    def _mean_of(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        # In parts: all images at once would take eight times their memory.
        parts = range(0, len(self.train_images), _READ_AT_ONCE)
        sums = [
            function(self.train_images[start : start + _READ_AT_ONCE].astype("float64")).sum(
                axis=(0, 1, 2)
            )
            for start in parts
        ]
        return np.sum(sums, axis=0) / np.prod(self.train_images.shape[:3])


def load_images(
    name: str,
    data_dir: Path | None = None,
    smoke: bool = False,
    size: int = 32,
    repeat_grey: bool = True,
) -> Images:
    """Loads a data set as square images of one size.

    Args:
        name: One of `GENERATIVE_DATASETS`.
        data_dir: Folder of tensorflow-datasets. Defaults to its own default.
        smoke: Whether to keep a few hundred images only.
        size: Height and width. Images that are up to an eighth smaller get a black border,
            others are resized.
        repeat_grey: Whether grey images get three channels, so that a network has the same
            layers, parameters and exported size on every data set.

    Returns:
        The `Images`.

    Raises:
        UsageError: If the files cannot be downloaded or read, or do not fit into the memory.
    """
    limits = (SMOKE_TRAIN_IMAGES, SMOKE_TEST_IMAGES) if smoke else (None, None)

    def prepare(pixels: np.ndarray) -> np.ndarray:
        pixels = resized(pixels, size)
        return np.repeat(pixels, 3, axis=-1) if repeat_grey and pixels.shape[-1] == 1 else pixels

    try:
        if name == "digits":
            arrays, classes, mirrored = offline.digits(size), 10, False
        elif name == "patches":
            arrays, classes, mirrored = offline.patches(size), len(offline.PHOTOGRAPHS), True
        else:
            arrays = read(SOURCES[name], data_dir, prepare)
            classes, mirrored = SOURCES[name].classes, SOURCES[name].mirrored
        train_images, train_labels, test_images, test_labels = arrays
        return Images(
            name,
            classes,
            prepare(train_images[: limits[0]]),
            train_labels[: limits[0]],
            prepare(test_images[: limits[1]]),
            test_labels[: limits[1]],
            mirrored,
        )
    except MemoryError as error:
        raise UsageError(
            f"the images of {name} at {size}x{size} pixels do not fit into the memory; "
            "choose a smaller --image-size"
        ) from error
