"""Images of one size: cropped, bordered or resized."""

import numpy as np
from PIL import Image

# Share of the wanted size up to which a border is put around an image.
_BORDERED = 1 / 8


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """Images as squares: a border around those that are little smaller, others resized.

    Args:
        pixels: `uint8` array of shape `(count, height, width, channels)`.
        size: Height and width that are wanted.

    Returns:
        `uint8` array of shape `(count, size, size, channels)`.
    """
    height, width = pixels.shape[1:3]
    if (height, width) == (size, size):
        return pixels
    missing = size - height
    if height == width and 0 < missing <= size * _BORDERED:
        border = (missing // 2, missing - missing // 2)
        return np.pad(pixels, ((0, 0), border, border, (0, 0)))
    return np.rint(resampled(pixels, size)).astype("uint8")


def resampled(pixels: np.ndarray, size: int) -> np.ndarray:
    """Bicubic interpolation in floating point, for any range of levels, cut to [0, 255].

    Args:
        pixels: Array of shape `(count, height, width, channels)`.
        size: Height and width that are wanted.

    Returns:
        `float32` array of shape `(count, size, size, channels)`.
    """
    count, _, _, channels = pixels.shape
    result = np.empty((count, size, size, channels), "float32")
    for number, image in enumerate(pixels):
        for channel in range(channels):
            plane = Image.fromarray(image[..., channel].astype("float32"))
            result[number, ..., channel] = plane.resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(result, 0, 255, out=result)


def cropped(pixels: np.ndarray, size: int) -> np.ndarray:
    """The squares in the middle of images."""
    top, left = ((length - size) // 2 for length in pixels.shape[1:3])
    return pixels[:, top : top + size, left : left + size]
