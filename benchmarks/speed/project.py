"""The contenders on Keras 3: this project's normalizations and those of Keras."""

import functools
from collections.abc import Callable
from typing import Any

import keras

import tfspecnorm
from benchmarks.speed import ablations, with_keras
from tfspecnorm import gan, layers, models
from tfspecnorm.layers import scales


def plain(layer: Any) -> Any:
    """The layer as it is."""
    return layer


# What wraps convolutions and dense layers, what wraps depthwise ones, and whether batch
# normalization follows. Keras' own wrapper takes all channels of a depthwise kernel for one matrix.
CONTENDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], bool]] = {
    "none": (plain, plain, False),
    "batch normalization": (plain, plain, True),
    "keras SN": (keras.layers.SpectralNormalization, keras.layers.SpectralNormalization, False),
    "keras SN, not depthwise": (keras.layers.SpectralNormalization, plain, False),
    "SN": (layers.SpectralNorm, layers.SpectralNorm, False),
    "SN, not depthwise": (layers.SpectralNorm, plain, False),
    "SN, depthwise only": (plain, layers.SpectralNorm, False),
    "scaled SN": (
        functools.partial(layers.SpectralNorm, scale=scales.Fixed(1.4)),
        functools.partial(layers.SpectralNorm, scale=scales.Fixed(1.4)),
        False,
    ),
    "learned scale": (
        lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()),
        lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()),
        False,
    ),
    "SN, stored vectors": (ablations.StoredVectors, layers.SpectralNorm, False),
    "SN, operator": (
        functools.partial(layers.SpectralNorm, norm="operator"),
        layers.SpectralNorm,
        False,
    ),
    "SN, four vectors": (
        functools.partial(layers.SpectralNorm, tracked_vectors=4),
        layers.SpectralNorm,
        False,
    ),
    "SN, two iterations": (
        functools.partial(layers.SpectralNorm, power_iterations=2),
        layers.SpectralNorm,
        False,
    ),
    "BSN": (layers.BidirectionalSpectralNorm, layers.BidirectionalSpectralNorm, False),
    "MSN": (layers.MeanSpectralNorm, layers.MeanSpectralNorm, False),
    "WN": (layers.WeightNorm, layers.WeightNorm, False),
}
# Parts of the work, see `ablations`; none of them normalizes depthwise kernels.
for _name, _norm in (("division alone", ablations.Constant), ("vectors held", ablations.Held)):
    CONTENDERS[_name] = (functools.partial(layers.SpectralNorm, norm=_norm()), plain, False)
# With the norms of all kernels computed at once, see `tfspecnorm.group`.
_GROUPED = ", grouped"
for _name in ("SN", "BSN", "MSN"):
    CONTENDERS[_name + _GROUPED] = CONTENDERS[_name]
# For the networks that the project itself has.
_NAMES = {
    "none": "none",
    "batch normalization": "batch",
    "keras SN": keras.layers.SpectralNormalization,
    "SN": "spectral",
    **{name: CONTENDERS[name][0] for name in ("SN, four vectors", "SN, two iterations")},
    "BSN": "bidirectional",
    "MSN": "mean-spectral",
    "WN": "weight",
}
GAN = "sn_dcgan"
# Its discriminator is called twice in an update, see `tfspecnorm.measured_once`.
_ONCE = ", measured once"
OF_A_GAN = tuple(name + _ONCE for name in ("SN", "WN"))


def model(network: str, contender: str) -> keras.Model:
    """The model of a network with a contender's normalization."""
    keras.utils.set_random_seed(0)
    if network == GAN:
        return _gan(contender)
    name = contender.removesuffix(_GROUPED)
    made = with_keras.built(network, *CONTENDERS[name])
    return made if name == contender else tfspecnorm.group(made)


def _gan(contender: str) -> gan.GAN:
    name = contender.removesuffix(_GROUPED).removesuffix(_ONCE)
    networks = models.sn_dcgan(normalization=_NAMES[name])
    if contender.endswith(_GROUPED):
        networks = networks._replace(discriminator=tfspecnorm.group(networks.discriminator))
    return gan.GAN(*networks, average_momentum=None, measure_once=contender.endswith(_ONCE))


def training_step(made: keras.Model, network: str, batch: int, compiled: bool) -> Callable[[], Any]:
    """A training step on a fixed batch; of a GAN one of each network."""
    data = compile_for(made, network, batch, compiled)
    if keras.backend.backend() == "jax":
        from benchmarks.speed import with_jax

        return with_jax.run_of(*with_jax.step_of(made, data), steps=1)
    return lambda: made.train_on_batch(*data)


def compile_for(
    made: keras.Model, network: str, batch: int, compiled: bool | str = "auto"
) -> tuple[Any, ...]:
    """Give a model its loss and its optimizers; the arrays of a batch for it."""
    data = with_keras.batch_of(network, batch)
    if network != GAN:
        with_keras.compile_model(made, compiled)
        return data
    made.compile("sgd", "sgd", jit_compile=compiled)
    return data[:1]


inference = with_keras.inference


def folded(made: keras.Model) -> keras.Model | None:
    """The plain model, of a plain one a copy, `None` where a normalization of Keras would stay."""
    kept = (keras.layers.BatchNormalization, keras.layers.SpectralNormalization)
    return None if any(isinstance(layer, kept) for layer in made.layers) else tfspecnorm.fold(made)
