"""Put wrappers around the layers of a finished model, and take them away again."""

from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.surgery.folding import FoldedLayer, fold
from tfspecnorm.surgery.group import group, measured_once
from tfspecnorm.surgery.precision import in_float32
from tfspecnorm.surgery.raw_matrices import RawMatrix, raw_matrices
from tfspecnorm.surgery.warming_up import warm_up
from tfspecnorm.surgery.wrapping import wrap

__all__ = [
    "FoldedLayer",
    "RawMatrix",
    "fold",
    "group",
    "measured_once",
    "in_float32",
    "raw_matrices",
    "warm_up",
    "wrap",
    "wrappers_in",
]
