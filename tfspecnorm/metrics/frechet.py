"""The Fréchet distance between real and generated images."""

from typing import Any

import numpy as np

from tfspecnorm._util.arguments import check_boolean, check_name
from tfspecnorm.metrics._moments import Moments
from tfspecnorm.metrics.gaussians import frechet_distance
from tfspecnorm.metrics.score import Score

_SIDES = ("real", "generated")


class FrechetDistance:
    """The Fréchet distance of Gaussians that are fitted to features of images.

        d² = ‖m₁ − m₂‖² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½

    m and S are mean and covariance, divided by n − 1, of the features of the real and of the
    generated images. With the features of an Inception network it is called the Fréchet Inception
    distance, FID.

    Guarantee: *exact* for these samples, whatever the batches: the statistics are joined in 64
    bits. As an *estimate* of the distance of the distributions it is too large on average, by a
    part that falls with the number of samples and depends on the generator (Bińkowski et al., 2018,
    arXiv:1801.01401). Compare equal numbers of samples only, and have more of them than features.

    The methods are those of a `keras.metrics.Metric`, but statistics are kept in NumPy: it is for
    loops and for `tfspecnorm.callbacks.SampleMetrics`, not for `compile`.

    Args:
        extractor: `tfspecnorm.metrics.extractors.Extractor`, or another object with a `name` and
            `features(images)`, which returns an array `(samples, d)`.
        name: Name of the metric. Defaults to `"frechet_distance"`.

    Raises:
        ValueError: If the extractor has no name or no features.

    Example:

    >>> import keras
    >>> from tfspecnorm.metrics.extractors import Extractor
    >>> model = keras.Sequential([keras.Input((1, 1, 2)), keras.layers.Flatten()])
    >>> metric = FrechetDistance(Extractor(model, "pixels"))
    >>> images = np.random.default_rng(0).uniform(-0.5, 0.5, (64, 1, 1, 2))
    >>> metric.update_state(real=images)
    >>> metric.update_state(generated=images + 0.5)
    >>> print(metric.result())
    frechet_distance 0.5 by pixels, 64 real and 64 generated samples

    Reference: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale
    Update Rule Converge to a Local Nash Equilibrium", 2017, arXiv:1706.08500.
    """

    # Whether the real images count; `SampleMetrics` asks.
    needs_real = True
    # Images on each side that counts; `SampleMetrics` asks.
    least_samples = 2

    def __init__(self, extractor: Any, name: str = "frechet_distance") -> None:
        if not callable(getattr(extractor, "features", None)) or not hasattr(extractor, "name"):
            raise ValueError(
                "Argument `extractor` must have a `name` and a method `features`. "
                f"Received: extractor={extractor!r}"
            )
        self.extractor = extractor
        self.name = check_name(name)
        self._moments = {side: Moments() for side in _SIDES}

    def update_state(self, real: Any = None, generated: Any = None) -> None:
        """Add batches of images to one side or to both.

        Args:
            real: Images as the extractor wants them, for an `Extractor` a float array
                `(batch, height, width, channels)` in [-1, 1], or `None`.
            generated: Like `real`; the batches may differ in size.

        Raises:
            ValueError: If there is neither, or the features are not finite or of another shape
                than those before. Then no side has changed.
        """
        if real is None and generated is None:
            raise ValueError(
                "Argument `real` or `generated` must be a batch of images. "
                "Received: real=None, generated=None"
            )
        batches = [
            (side, self._features(side, images))
            for side, images in zip(_SIDES, (real, generated), strict=True)
            if images is not None
        ]
        sizes = [part.features for part in self._moments.values() if part.count]
        sizes += [batch.shape[1] for _, batch in batches]
        if len(set(sizes)) > 1:
            raise ValueError(
                "Argument `extractor` must give equally many features for all images. "
                f"Received: '{self.extractor.name}' with {sizes} features"
            )
        for side, batch in batches:
            self._moments[side].update(batch)

    def result(self) -> Score:
        """The distance of what was added so far.

        Returns:
            `Score`, in the unit of the features' variance.

        Raises:
            ValueError: If a side has fewer than two images.
        """
        real, generated = (self._moments[side] for side in _SIDES)
        if min(real.count, generated.count) < self.least_samples:
            raise ValueError(
                f"`{self.name}` must have at least 2 real and 2 generated images. "
                f"Received: {real.count} real and {generated.count} generated images"
            )
        value = frechet_distance(real.mean, real.covariance, generated.mean, generated.covariance)
        return Score(value, self.name, self.extractor.name, real.count, generated.count)

    def reset_state(self, keep_real: bool = False) -> None:
        """Forget the images.

        Args:
            keep_real: Whether the statistics of the real images stay, so that they are computed
                once for many generators. Defaults to `False`.
        """
        keep_real = check_boolean("keep_real", keep_real)
        for side in _SIDES[1:] if keep_real else _SIDES:
            self._moments[side] = Moments()

    def _features(self, side: str, images: Any) -> np.ndarray:
        features = np.asarray(self.extractor.features(images))
        if features.ndim != 2 or not features.size or features.dtype.kind not in "fiu":
            raise ValueError(
                "Argument `extractor` must give real features of the shape (samples, d). Received: "
                f"'{self.extractor.name}' with features of the shape {features.shape} and the type "
                f"{features.dtype} for `{side}`"
            )
        if not np.all(np.isfinite(features)):
            raise ValueError(
                f"Argument `{side}` must be images with finite features. "
                f"Received: features of '{self.extractor.name}' that are not finite"
            )
        return features
