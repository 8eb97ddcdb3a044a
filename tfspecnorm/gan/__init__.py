"""Generative adversarial networks under `model.fit`."""

from tfspecnorm.gan import losses
from tfspecnorm.gan.gan import GAN

__all__ = ["GAN", "losses"]
