"""Put wrappers around the layers of a finished model, and take them away again."""

from tfspecnorm.surgery.folding import FoldedLayer, fold
from tfspecnorm.surgery.group import group, measured_once
from tfspecnorm.surgery.precision import in_float32
from tfspecnorm.surgery.warming_up import warm_up
from tfspecnorm.surgery.wrapping import wrap

__all__ = ["FoldedLayer", "fold", "group", "measured_once", "in_float32", "warm_up", "wrap"]
