"""Real images: scikit-learn's digits offline, the others by tensorflow-datasets."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import ParseError

from common.command import UsageError, describe

SIZE = 32
DIGITS_TEST_IMAGES = 360
_READ_AT_ONCE = 1000
SMOKE_TRAIN_IMAGES, SMOKE_TEST_IMAGES = 512, 128


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set in memory.

    Args:
        name: Name of the data set.
        classes: Number of classes.
        train_images: `uint8` array of shape `(count, 32, 32, 3)`.
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

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Mean of each channel over the training images."""
        return self._mean_of(lambda pixels: pixels).astype("float32")

    @functools.cached_property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each channel over the training images, at least one level."""
        variance = self._mean_of(np.square) - self._mean_of(lambda pixels: pixels) ** 2
        return np.sqrt(np.maximum(variance, 1.0)).astype("float32")

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

    def standardized_test_images(self) -> np.ndarray:
        """The test images as the network wants them: `float32`, standardized."""
        images = self.test_images.astype("float32")
        images -= self.mean
        images /= self.deviation
        return images


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from and what is true of its images."""

    builder: str
    classes: int
    mirrored: bool = False


SOURCES = {
    "mnist": Source("mnist", 10),
    "fashion_mnist": Source("fashion_mnist", 10, mirrored=True),
    "cifar10": Source("cifar10", 10, mirrored=True),
    "cifar100": Source("cifar100", 100, mirrored=True),
    "svhn": Source("svhn_cropped", 10),
}
DATASETS = ("digits", *SOURCES)


def load_images(name: str, data_dir: Path | None = None, smoke: bool = False) -> Images:
    """Loads a data set as 32×32 images with three channels.

    Grey images are repeated to three channels, so that a network has the same layers,
    parameters and exported size on every data set. Images of 28×28 pixels get a black border.

    Args:
        name: One of `DATASETS`.
        data_dir: Folder of tensorflow-datasets. Defaults to its own default.
        smoke: Whether to keep a few hundred images only.

    Returns:
        The `Images`.

    Raises:
        UsageError: If the files cannot be downloaded or read.
    """
    if name == "digits":
        arrays = _digits()
        images = Images("digits", 10, *arrays)
    else:
        source = SOURCES[name]
        images = Images(
            name, source.classes, *_from_tensorflow_datasets(source, data_dir), source.mirrored
        )
    if smoke:
        train, test = slice(SMOKE_TRAIN_IMAGES), slice(SMOKE_TEST_IMAGES)
        images = dataclasses.replace(
            images,
            train_images=images.train_images[train],
            train_labels=images.train_labels[train],
            test_images=images.test_images[test],
            test_labels=images.test_labels[test],
        )
    return images


def _digits() -> tuple[np.ndarray, ...]:
    """The 1,797 scans of 8×8 pixels, enlarged; 360 of them, the same always, for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans, labels = load_digits(return_X_y=True)
    train_scans, test_scans, train_labels, test_labels = train_test_split(
        scans, labels, test_size=DIGITS_TEST_IMAGES, stratify=labels, random_state=0
    )

    def enlarge(scans: np.ndarray) -> np.ndarray:
        # Scans have the levels 0 to 16.
        images = tf.image.resize(scans.reshape(-1, 8, 8, 1) * (255 / 16), (SIZE, SIZE), "bicubic")
        return _three_channels(np.clip(np.rint(images), 0, 255).astype("uint8"))

    return enlarge(train_scans), train_labels, enlarge(test_scans), test_labels


def _from_tensorflow_datasets(source: Source, data_dir: Path | None) -> tuple[np.ndarray, ...]:
    # Their warnings speak of what does not concern the user, such as retried connections.
    for name in ("absl", "tensorflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import tensorflow_datasets as tfds

        parts = tfds.load(
            source.builder,
            split=["train", "test"],
            data_dir=data_dir,
            batch_size=_READ_AT_ONCE,
            as_supervised=True,
            # What is read once needs no cache; TensorFlow would warn of a half-filled one.
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        arrays = []
        for part in tfds.as_numpy(parts):
            images, labels = (np.concatenate(column) for column in zip(*part, strict=True))
            arrays += [_bordered(images), labels]
    except ImportError as error:
        raise UsageError(
            f"the data set {source.builder} needs a package that is not installed: try "
            f"pip install tensorflow-datasets importlib_resources ({describe(error)})"
        ) from error
    except (OSError, ValueError, RuntimeError, LookupError, ParseError, tf.errors.OpError) as error:
        folder = f" in {data_dir}" if data_dir else ""
        raise UsageError(
            f"cannot load the data set {source.builder}{folder}: {describe(error)}"
        ) from error
    return tuple(arrays)


def _bordered(images: np.ndarray) -> np.ndarray:
    border = (SIZE - images.shape[1]) // 2
    return _three_channels(np.pad(images, ((0, 0), (border, border), (border, border), (0, 0))))


def _three_channels(images: np.ndarray) -> np.ndarray:
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
