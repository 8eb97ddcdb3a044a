"""Images for the claims, from the loaders of the examples."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

# The examples import each other from their own folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from common.datasets import DATASETS, GENERATIVE_DATASETS, Images, load_images

__all__ = ["DATASETS", "GENERATIVE_DATASETS", "Images", "Split", "learned", "load_images", "split"]


@dataclasses.dataclass(frozen=True)
class Split:
    """Standardized images for training, for the choice of an epoch, and for the last word.

    Args:
        training: Images and labels.
        validation: The same.
        test: The same.
        shape: Height, width and channels.
        classes: Number of classes.
        mirrored: Whether the mirror image of an example is an example too.
    """

    training: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    shape: tuple[int, int, int]
    classes: int
    mirrored: bool = False


def learned(accuracy: float, classes: int) -> bool:
    """Whether an accuracy is one of a network that has learned anything.

    Twice what guessing gets right, or for few classes the middle between that and everything.
    """
    return accuracy >= min(2 / classes, (1 + 1 / classes) / 2)


def split(
    dataset: str,
    size: int,
    training: int | None = None,
    validation: int | None = None,
    smoke: bool = False,
    repeat_grey: bool = True,
) -> Split:
    """A data set with a part for validation.

    The images of training and test are taken together and divided anew if `training` is given: a
    small training set and many test images tell normalizations apart where all get everything
    right with more. The division is always the same one.

    Args:
        dataset: Name of a data set of the examples.
        size: Height and width.
        training: Number of training images. Defaults to those of the data set, without those for
            validation.
        validation: Number of images to choose an epoch by. Defaults to a tenth.
        smoke: Whether to take a few hundred images.
        repeat_grey: Whether grey images get three channels.
    """
    images = load_images(dataset, smoke=smoke, size=size, repeat_grey=repeat_grey)
    test = images.test_images, images.test_labels
    pixels, labels = images.train_images, images.train_labels
    if training is not None:
        pixels = np.concatenate([pixels, test[0]])
        labels = np.concatenate([labels, test[1]])
    order = np.random.default_rng(0).permutation(len(pixels))
    count = len(pixels) // 10 if validation is None else validation
    held, rest = order[:count], order[count:]
    if training is not None:
        rest, others = rest[:training], rest[training:]
        test = pixels[others], labels[others]
    return Split(
        (images.standardized(pixels[rest]), labels[rest].astype("int32")),
        (images.standardized(pixels[held]), labels[held].astype("int32")),
        (images.standardized(test[0]), test[1].astype("int32")),
        images.shape,
        images.classes,
        images.mirrored,
    )
