"""The better extractor that can be had."""

import os
from typing import Any

from tfspecnorm.metrics.extractors._classifier import classifier
from tfspecnorm.metrics.extractors._inception import inception_v3
from tfspecnorm.metrics.extractors.extractor import Extractor


def default(
    images: Any,
    labels: Any,
    path: str | os.PathLike | None = None,
    epochs: int = 5,
    seed: int = 0,
) -> Extractor:
    """InceptionV3 with ImageNet's weights where they can be loaded, else a `classifier`.

    Guarantee: the name says which it is, and so does every score: `"inception_v3"` or
    `"classifier"`. Scores of the two are not comparable.

    Args:
        images: Float array `(count, height, width, channels)` in [-1, 1], what a classifier is
            trained on.
        labels: Integer array `(count,)` of its classes.
        path: Path of the file of the classifier, which ends in `.keras`, or `None`.
        epochs: Positive integer, for the classifier. Defaults to 5.
        seed: Integer, for the classifier. Defaults to 0.

    Returns:
        `Extractor`.

    Raises:
        ValueError: As `classifier`, where it comes to that.
        OSError: As `classifier`, where it comes to that.
    """
    try:
        return inception_v3()
    except OSError:
        return classifier(images, labels, path, epochs, seed)
