"""The Inception score of generated images."""

from typing import Any

import numpy as np

from tfspecnorm._util.arguments import check_boolean, check_name, check_positive_integer, check_seed
from tfspecnorm.metrics.score import Score


def inception_score(
    probabilities: Any, splits: int = 10, seed: int | None = None
) -> tuple[float, float | None]:
    """Mean and standard deviation of the Inception score over splits of the samples.

        score = exp( mean over x of KL(p(y|x) ‖ p(y)) ),        p(y) = mean over x of p(y|x)

    in each of the splits, which are equal to one sample: 1 if all predictions are alike, the number
    of classes if they are certain and spread evenly.

    Guarantee: *exact* for these samples, in 64 bits; a probability of 0 contributes 0. As an
    *estimate* for the generator it depends on the number of samples in a split.

    Args:
        probabilities: Array `(samples, classes)` of class probabilities. Rows are divided by their
            sums, which differ from 1 by rounding.
        splits: Positive integer, number of parts of the samples. Defaults to 10.
        seed: Integer of at least 0, seed of a random order in which the samples are split; `None`
            for the order that they have.

    Returns:
        The mean and the standard deviation, the root of the mean square, over the splits; for one
        split the deviation is `None`.

    Raises:
        ValueError: If these are no probabilities, there are fewer than two samples in a split, or
            `splits` or `seed` is not as above.

    Example:

    >>> inception_score(np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3]], splits=2)
    (4.0, 0.0)
    >>> inception_score(np.full((8, 4), 0.25), splits=1)
    (1.0, None)

    Reference: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for
    Training GANs", 2016, arXiv:1606.03498.
    """
    splits, seed = check_positive_integer("splits", splits), check_seed(seed, optional=True)
    probabilities = checked_probabilities(probabilities)
    samples = len(probabilities)
    if samples < 2 * splits:
        raise ValueError(
            "Argument `probabilities` must have at least 2 samples for each of the splits. "
            f"Received: {samples} samples, splits={splits}"
        )
    order = np.arange(samples) if seed is None else np.random.default_rng(seed).permutation(samples)
    bounds = [part * samples // splits for part in range(splits + 1)]
    scores = [
        _score_of(probabilities[order[start:stop]])
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    return float(np.mean(scores)), float(np.std(scores)) if splits > 1 else None


class InceptionScore:
    """The Inception score of generated images; real ones do not count.

        score = exp( mean over x of KL(p(y|x) ‖ p(y)) ),        p(y) = mean over x of p(y|x)

    Guarantee: that of `tfspecnorm.metrics.inception_score`. High where an image is classified with
    certainty and the classes are many; it does not see what the classifier does not, such as the
    same image again and again within a class.

    The methods are those of a `keras.metrics.Metric`; the probabilities of all images are kept, 8
    bytes each.

    Args:
        extractor: `tfspecnorm.metrics.extractors.Extractor`, or another object with a `name` and
            `probabilities(images)`, which returns an array `(samples, classes)`.
        splits: Positive integer, number of parts of the samples, over which the standard deviation
            is taken. Defaults to 10.
        seed: Integer of at least 0, seed of a random order in which the samples are split; `None`
            for the order in which they were added.
        name: Name of the metric. Defaults to `"inception_score"`.

    Raises:
        ValueError: If the extractor has no name or no probabilities, or `splits` or `seed` is not
            as above.

    Example:

    >>> import keras
    >>> from tfspecnorm.metrics.extractors import Extractor
    >>> layers = [keras.layers.Flatten(), keras.layers.Rescaling(200.0)]
    >>> model = keras.Sequential([keras.Input((1, 1, 2)), *layers])
    >>> metric = InceptionScore(Extractor(model, "sign", from_logits=True), splits=1)
    >>> metric.update_state(generated=np.array([[1.0, -1.0], [-1.0, 1.0]]).reshape(2, 1, 1, 2))
    >>> print(metric.result())
    inception_score 2 by sign, 0 real and 2 generated samples

    Reference: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for
    Training GANs", 2016, arXiv:1606.03498.
    """

    needs_real = False

    def __init__(
        self,
        extractor: Any,
        splits: int = 10,
        seed: int | None = None,
        name: str = "inception_score",
    ) -> None:
        if not callable(getattr(extractor, "probabilities", None)) or not hasattr(
            extractor, "name"
        ):
            raise ValueError(
                "Argument `extractor` must have a `name` and a method `probabilities`. "
                f"Received: extractor={extractor!r}"
            )
        self.extractor = extractor
        self.splits = check_positive_integer("splits", splits)
        self.seed = check_seed(seed, optional=True)
        self.name = check_name(name)
        self._batches: list[np.ndarray] = []

    @property
    def least_samples(self) -> int:
        """Number of images that a result needs."""
        return 2 * self.splits

    def update_state(self, real: Any = None, generated: Any = None) -> None:
        """Add a batch of images.

        Args:
            real: Not used; there for the form that all metrics of samples have.
            generated: Images as the extractor wants them, for an `Extractor` a float array
                `(batch, height, width, channels)` in [-1, 1].

        Raises:
            ValueError: If there are no generated images, or what the extractor makes of them are
                no probabilities of the classes that the images before have.
        """
        if generated is None:
            raise ValueError(
                "Argument `generated` must be a batch of images. Received: generated=None"
            )
        batch = checked_probabilities(self.extractor.probabilities(generated))
        if self._batches and batch.shape[1] != self._batches[0].shape[1]:
            raise ValueError(
                "Argument `extractor` must give equally many classes for all images. Received: "
                f"{self._batches[0].shape[1]} and {batch.shape[1]} classes"
            )
        self._batches.append(batch)

    def result(self) -> Score:
        """The score of what was added so far.

        Returns:
            `Score`, its value between 1 and the number of classes.

        Raises:
            ValueError: If there are fewer than two images for each of the splits.
        """
        samples = sum(len(batch) for batch in self._batches)
        if samples < self.least_samples:
            raise ValueError(
                f"`{self.name}` must have at least 2 generated images for each of the splits. "
                f"Received: {samples} images, splits={self.splits}"
            )
        self._batches = [np.concatenate(self._batches)]
        value, deviation = inception_score(self._batches[0], self.splits, self.seed)
        return Score(value, self.name, self.extractor.name, 0, samples, deviation)

    def reset_state(self, keep_real: bool = False) -> None:
        """Forget the images; `keep_real` is there for the form that all such metrics have."""
        check_boolean("keep_real", keep_real)
        self._batches = []


def checked_probabilities(probabilities: Any) -> np.ndarray:
    """Probabilities `(samples, classes)` in float64 whose rows sum to 1, or a `ValueError`."""
    array = np.asarray(probabilities)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise ValueError(
            "Argument `probabilities` must have the shape (samples, classes). "
            f"Received: shape {array.shape} of type {array.dtype}"
        )
    array = array.astype("float64")
    sums = array.sum(axis=1, keepdims=True)
    # Also false for what is not a number. Sums in half precision are right to 1e-2.
    if not (np.all(array >= 0) and np.all(np.abs(sums - 1) < 1e-2)):
        raise ValueError(
            "Argument `probabilities` must be finite and at least 0 with rows that sum to 1; of a "
            "model without softmax say `from_logits=True`. Received: entries between "
            f"{array.min():.3g} and {array.max():.3g}, sums between {sums.min():.3g} and "
            f"{sums.max():.3g}"
        )
    return array / sums


def _score_of(probabilities: np.ndarray) -> float:
    # The mean divergence from the mean is the entropy of the mean less the mean entropy, which
    # needs no quotient of probabilities near 0. Not below 0 but for rounding.
    divergence = _entropy(probabilities.mean(axis=0)) - _entropy(probabilities).mean()
    return float(np.exp(max(divergence, 0.0)))


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -np.sum(probabilities * logarithms, axis=-1)
