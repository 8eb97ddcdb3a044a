"""Data that scikit-learn brings along: scans of digits, and patches of two photographs."""

import numpy as np

from common.command import UsageError
from common.resizing import resampled

DIGITS_TEST_IMAGES = 360
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
PATCHES, TEST_PATCHES = 8000, 2000
_LARGEST_DIGIT_LEVEL = 16
# A patch shows this many times its own size of a photograph, made smaller.
_REDUCTION = 2

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def digits(size: int) -> Arrays:
    """The 1,797 scans of 8×8 pixels, enlarged; 360 of them, the same always, for the test.

    Args:
        size: Height and width of the images.

    Returns:
        Training images, labels, test images, labels; images are grey, `uint8`.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans, labels = load_digits(return_X_y=True)
    levels = scans.reshape(-1, 8, 8, 1) * (255 / _LARGEST_DIGIT_LEVEL)
    images = np.rint(resampled(levels, size)).astype("uint8")
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=DIGITS_TEST_IMAGES, stratify=labels, random_state=0
    )
    return train_images, train_labels, test_images, test_labels


def patches(size: int) -> Arrays:
    """Square patches of scikit-learn's two sample photographs, at places that are always the same.

    The test patches come from the right quarter of the photographs, of which no training patch
    shows anything. The label says which photograph a patch is from.

    Args:
        size: Height and width of the patches; they are cut at twice the size and reduced.

    Returns:
        Training images, labels, test images, labels; images have three channels, `uint8`.

    Raises:
        UsageError: If patches of that size do not fit into the photographs.
    """
    from sklearn.datasets import load_sample_image

    photographs = [load_sample_image(name) for name in PHOTOGRAPHS]
    cut = _REDUCTION * size
    # The test parts are the narrowest.
    largest = min(photograph.shape[1] // 4 for photograph in photographs) // _REDUCTION
    if size > largest:
        raise UsageError(
            f"argument --image-size: must be at most {largest} for patches. Received: {size}"
        )
    random = np.random.default_rng(0)
    found: list[np.ndarray] = []
    for count, test in ((PATCHES, False), (TEST_PATCHES, True)):
        images, labels = np.empty((count, size, size, 3), "uint8"), np.arange(count) % 2
        for number, label in enumerate(labels):
            photograph = photographs[label]
            boundary = 3 * photograph.shape[1] // 4
            part = photograph[:, boundary:] if test else photograph[:, :boundary]
            top = random.integers(part.shape[0] - cut + 1)
            left = random.integers(part.shape[1] - cut + 1)
            patch = part[top : top + cut, left : left + cut].astype("float64")
            blocks = patch.reshape(size, _REDUCTION, size, _REDUCTION, 3)
            images[number] = np.rint(blocks.mean(axis=(1, 3)))
        found += [images, labels]
    return tuple(found)
