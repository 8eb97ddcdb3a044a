"""A number together with what it rests on."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Score:
    """What a metric of generated images found; `float(score)` is its value.

    Values of different extractors, or of different numbers of samples, are not comparable: what is
    printed names them.

    Args:
        value: The value.
        metric: Name of the metric.
        extractor: Name of the extractor of features or class probabilities.
        real_samples: Number of real images, 0 where the metric uses none.
        generated_samples: Number of generated images.
        deviation: Standard deviation over the splits of the samples; `None` without splits.

    Example:

    >>> score = Score(7.25, "inception_score", "inception_v3", 0, 5000, deviation=0.125)
    >>> float(score)
    7.25
    >>> print(score)
    inception_score 7.25 ± 0.125 by inception_v3, 0 real and 5000 generated samples
    """

    value: float
    metric: str
    extractor: str
    real_samples: int
    generated_samples: int
    deviation: float | None = None

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.3g}"
        return (
            f"{self.metric} {self.value:.6g}{spread} by {self.extractor}, "
            f"{self.real_samples} real and {self.generated_samples} generated samples"
        )
