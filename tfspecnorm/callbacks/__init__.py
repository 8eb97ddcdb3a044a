"""Callbacks for `model.fit`."""

from tfspecnorm.callbacks._png import write_png
from tfspecnorm.callbacks.image_grids import ImageGrid, image_grid
from tfspecnorm.callbacks.sample_metrics import SampleMetrics
from tfspecnorm.callbacks.spectral_monitor import SpectralMonitor

__all__ = ["ImageGrid", "SampleMetrics", "SpectralMonitor", "image_grid", "write_png"]
