"""Pictures shifted and mirrored at random, as trainings of classifiers do."""

import numpy as np


def shifted(
    images: np.ndarray, random: np.random.Generator, pixels: int, mirrored: bool
) -> np.ndarray:
    """Shifts each picture by up to that many pixels, with zeros at the border.

    images has the axes picture, row, column and channel; each picture is mirrored
    with probability one half where mirrored is true.
    """
    count, rows, columns = images.shape[:3]
    padded = np.pad(images, [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)])
    down = random.integers(0, 2 * pixels + 1, (count, 1, 1))
    right = random.integers(0, 2 * pixels + 1, (count, 1, 1))
    across = np.arange(columns)[None, None, :]
    if mirrored:
        flips = random.random((count, 1, 1)) < 0.5
        across = np.where(flips, columns - 1 - across, across)
    return padded[
        np.arange(count)[:, None, None],
        down + np.arange(rows)[None, :, None],
        right + across,
    ]
