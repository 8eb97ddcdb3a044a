"""How good generated images are, and what the numbers rest on."""

from tfspecnorm.metrics import extractors
from tfspecnorm.metrics.frechet import FrechetDistance
from tfspecnorm.metrics.gaussians import frechet_distance
from tfspecnorm.metrics.inception import InceptionScore, inception_score
from tfspecnorm.metrics.score import Score

__all__ = [
    "FrechetDistance",
    "InceptionScore",
    "Score",
    "extractors",
    "frechet_distance",
    "inception_score",
]
