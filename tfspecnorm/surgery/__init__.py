"""Put wrappers around the layers of a finished model, and take them away again."""

from tfspecnorm.surgery.folding import FoldedLayer, fold
from tfspecnorm.surgery.warming_up import warm_up
from tfspecnorm.surgery.wrapping import wrap

__all__ = ["FoldedLayer", "fold", "warm_up", "wrap"]
