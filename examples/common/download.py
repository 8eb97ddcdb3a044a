"""Real data sets by tensorflow-datasets."""

import dataclasses
import logging
import socket
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from common.command import UsageError, describe
from common.resizing import cropped

_READ_AT_ONCE = 1000
# A tenth of the training images, where a set has none for the test.
_HELD_OUT = 0.1


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from and what is true of its images.

    Args:
        builder: Name in tensorflow-datasets.
        classes: Number of classes, 0 if there are no labels.
        mirrored: Whether the mirror image of an example is an example too.
        splits: Names of the splits for training and test; `None` instead of the second holds
            back a tenth of the first.
        crop: Side of the square in the middle to cut out of each image first.
    """

    builder: str
    classes: int = 0
    mirrored: bool = False
    splits: tuple[str, str | None] = ("train", "test")
    crop: int | None = None


SOURCES = {
    "mnist": Source("mnist", 10),
    "fashion_mnist": Source("fashion_mnist", 10, mirrored=True),
    "cifar10": Source("cifar10", 10, mirrored=True),
    "cifar100": Source("cifar100", 100, mirrored=True),
    "svhn": Source("svhn_cropped", 10),
    "stl10": Source("stl10", mirrored=True, splits=("unlabelled", "test")),
    "celeb_a": Source("celeb_a", mirrored=True, crop=128),
}

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read(
    source: Source, data_dir: Path | None, prepare: Callable[[np.ndarray], np.ndarray]
) -> Arrays:
    """Downloads a data set, if it is not there yet, and reads it.

    Args:
        source: What to read.
        data_dir: Folder of tensorflow-datasets. Defaults to its own default.
        prepare: Function from a batch of images, `uint8`, to images of one size.

    Returns:
        Training images, labels, test images, labels; without labels, zeros.

    Raises:
        UsageError: If a package is missing, or the files cannot be downloaded or read.
    """
    # Their warnings speak of what does not concern the user, such as retried connections.
    for name in ("absl", "tensorflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
        from google.protobuf.json_format import ParseError
    except ImportError as error:
        raise UsageError(
            f"the data set {source.builder} needs a package that is not installed: try "
            "pip install tensorflow-cpu tensorflow-datasets importlib_resources "
            f"({describe(error)})"
        ) from error
    try:
        builder = tfds.builder(source.builder, data_dir=data_dir)
        if not builder.is_prepared():
            check_network(builder.url_infos)
        builder.download_and_prepare()
        parts = builder.as_dataset(
            split=[split for split in source.splits if split],
            batch_size=_READ_AT_ONCE,
            # What is read once needs no cache; TensorFlow would warn of a half-filled one.
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        arrays: list[np.ndarray] = []
        for part in tfds.as_numpy(parts):
            arrays += _read_part(part, source, prepare)
    except ImportError as error:
        raise UsageError(
            f"the data set {source.builder} needs a package that is not installed "
            f"({describe(error)})"
        ) from error
    except (OSError, ValueError, RuntimeError, LookupError, ParseError, tf.errors.OpError) as error:
        folder = f" in {data_dir}" if data_dir else ""
        raise UsageError(
            f"cannot load the data set {source.builder}{folder}: {describe(error)}"
        ) from error
    if len(arrays) == 2:
        held_out = max(1, int(len(arrays[0]) * _HELD_OUT))
        arrays = [
            part
            for cut in (slice(held_out, None), slice(held_out))
            for part in (arrays[0][cut], arrays[1][cut])
        ]
    return tuple(arrays)


def check_network(addresses: Iterable[str]) -> None:
    """Raises an `OSError` if a host is not known; the download would try again for minutes.

    Args:
        addresses: What is to be downloaded.
    """
    for host in {urllib.parse.urlsplit(address).hostname for address in addresses} - {None}:
        try:
            socket.getaddrinfo(host, None)
        except socket.gaierror as error:
            raise OSError(f"no network, or no host {host} ({error.strerror})") from error


def _read_part(
    part: list[dict[str, np.ndarray]],
    source: Source,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    images, labels = [], []
    for batch in part:
        pixels = batch["image"]
        images.append(prepare(pixels if source.crop is None else cropped(pixels, source.crop)))
        labels.append(batch["label"] if source.classes else np.zeros(len(pixels), "int64"))
    return [np.concatenate(images), np.concatenate(labels)]
