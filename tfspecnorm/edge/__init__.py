"""From a trained model to a file for a phone, a board or a microcontroller, with proof."""

from tfspecnorm.edge.c_array import write_c_array
from tfspecnorm.edge.exporting import export
from tfspecnorm.edge.inspection import inspect
from tfspecnorm.edge.report import EdgeReport, MicroReport, TensorInfo

__all__ = ["EdgeReport", "MicroReport", "TensorInfo", "export", "inspect", "write_c_array"]
