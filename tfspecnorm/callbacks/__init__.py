"""Callbacks for `model.fit`."""

from tfspecnorm.callbacks.spectral_monitor import SpectralMonitor

__all__ = ["SpectralMonitor"]
