"""The images that networks are trained with from several starts.

Part of `benchmarks.claims.starts`.
"""

import math
from typing import Any

import keras
import numpy as np

from benchmarks.claims import data
from benchmarks.claims.augmentation import shifted
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split


def images_of(setting: Setting, options: dict[str, Any]) -> Split:
    """The images that the options of a run name, grey if they are.

    Args:
        setting: Names the data set.
        options: With `size`, height and width, and `training`, the number of training images.
    """
    return data.split(
        setting.dataset,
        size=options["size"],
        training=options["training"],
        smoke=setting.scale == "smoke",
        repeat_grey=False,
    )


class Moved(keras.utils.PyDataset):
    """Shuffled batches of images that are moved anew in each epoch."""

    def __init__(self, split: Split, batch_size: int, shift: int, seed: int) -> None:
        super().__init__()
        self._images, self._labels = split.training
        self._mirrored, self._size, self._shift = split.mirrored, batch_size, shift
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(self._labels))

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        images = shifted(self._images[chosen], self._random, self._shift, self._mirrored)
        return images, self._labels[chosen]

    def on_epoch_end(self) -> None:
        self._random.shuffle(self._order)
