"""Networks of the papers, as plain functions that take a normalization and return a model."""

from tfspecnorm.models import normalizations
from tfspecnorm.models.densenet_bc import densenet_bc
from tfspecnorm.models.mlp import mlp
from tfspecnorm.models.mobilenet_v2 import mobilenet_v2
from tfspecnorm.models.normalizations import Normalization
from tfspecnorm.models.resnet import resnet
from tfspecnorm.models.resnet_separable import resnet_separable
from tfspecnorm.models.robust_start import residual_stages, robust_start
from tfspecnorm.models.small_cnn import small_cnn
from tfspecnorm.models.sn_dcgan import sn_dcgan, sn_dcgan_discriminator, sn_dcgan_generator
from tfspecnorm.models.sn_resnet_gan import (
    sn_resnet_discriminator,
    sn_resnet_gan,
    sn_resnet_generator,
)
from tfspecnorm.models.vgg7 import vgg7
from tfspecnorm.models.wide_resnet import wide_resnet

__all__ = [
    "Normalization",
    "densenet_bc",
    "mlp",
    "mobilenet_v2",
    "normalizations",
    "residual_stages",
    "resnet",
    "resnet_separable",
    "robust_start",
    "small_cnn",
    "sn_dcgan",
    "sn_dcgan_discriminator",
    "sn_dcgan_generator",
    "sn_resnet_discriminator",
    "sn_resnet_gan",
    "sn_resnet_generator",
    "vgg7",
    "wide_resnet",
]
