"""What features and class probabilities of images come from.

`Extractor` goes around any Keras model, `inception_v3` and `classifier` make one, `default` takes
the one that can be had.
"""

from tfspecnorm.metrics.extractors._choice import default
from tfspecnorm.metrics.extractors._classifier import classifier
from tfspecnorm.metrics.extractors._inception import inception_v3
from tfspecnorm.metrics.extractors.extractor import Extractor

__all__ = ["Extractor", "classifier", "default", "inception_v3"]
