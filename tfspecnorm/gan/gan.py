"""A generative adversarial network as one Keras model."""

import random
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.differences import bring_up_to_date
from tfspecnorm._util.arguments import (
    check_boolean,
    check_jit_compile,
    check_name,
    check_positive_integer,
    check_seed,
)
from tfspecnorm.gan import _checks, _ranges, losses
from tfspecnorm.gan._optimizers import OptimizerPair
from tfspecnorm.gan._saving import Saving

_METRICS = ("generator_loss", "discriminator_loss", "real_logits", "fake_logits", "penalty")


@keras.saving.register_keras_serializable(package="tfspecnorm")
class GAN(Saving):
    """A generator and a discriminator that train each other, under `fit`.

    One step of `fit` splits its batch into `n_discriminator` parts. Each part makes one update
    of the discriminator D, with as many new images of the generator G; then G has one update,
    with the same number of new images:

        D: min over D of loss.discriminator(D(x), D(G(z))) + penalties,    z ~ N(0, I)
        G: min over G of loss.generator(D(G(z)))

    - `fit` takes images of a floating type, alone or with labels, which are ignored, as arrays,
      `tf.data.Dataset`, `PyDataset` or `DataLoader`, on every backend; weights of samples or
      classes are refused. Images that the generator cannot make, such as those in [0, 255] for one
      that ends in tanh, are warned of, as far as the first batch tells. Parts have ⌈batch / n⌉
      images; where n does not divide the batch, as in a smaller last one, they overlap.
    - Both networks run in training mode in every update, but only the one that is updated keeps
      the change of its state, such as the statistics of batch normalization or the vectors of
      spectral normalization. D's state moves in its two calls, on real and on generated images.
    - With `average_momentum` m, `averaged_generator` is a frozen copy of G whose trainable
      weights ā ← m·ā + (1 − m)·w after each step; its other weights are those of G.
    - `gan.variables` and `gan.optimizer.variables` are all there is to training: a run that is
      given their values goes on as if it had never stopped, on the same data.
    - `evaluate` gives losses and logits in evaluation mode, of G and not of its average, with
      the same latent vectors for every batch, and changes nothing.
    - Under `tf.distribute.MirroredStrategy` each replica has latent vectors of its own.

    The logs hold `generator_loss` and `discriminator_loss`, without penalties and
    regularization, the means `real_logits` and `fake_logits` in D's updates, and `penalty` if
    there is one.

    Args:
        generator: Functional or built Sequential model, from latent vectors of shape
            `(batch, latent_size)` to images.
        discriminator: Functional or built Sequential model, from images to logits of any shape.
        latent_size: Positive integer, the length of a latent vector. Defaults to that of the
            generator's input.
        n_discriminator: Positive integer, updates of the discriminator in one step.
        average_momentum: Number in [0, 1), or `None` for no average.
        seed: Integer for the latent vectors of training. Defaults to one drawn by `random`.
        name: Name of the model.
        measure_once: Whether all calls of D in one of its updates, penalties too, compute with the
            same kernels, measured once, see `tfspecnorm.measured_once`. The vectors of a spectral
            norm then take one step in an update, not two.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from keras import layers
    >>> from tfspecnorm.layers import SpectralNorm
    >>> generator = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    >>> discriminator = keras.Sequential([keras.Input((2,)), SpectralNorm(layers.Dense(1))])
    >>> gan = GAN(generator, discriminator, n_discriminator=2, seed=0)
    >>> gan.compile(keras.optimizers.Adam(2e-4, 0.5), keras.optimizers.Adam(2e-4, 0.5))
    >>> points = np.random.default_rng(0).standard_normal((32, 2)).astype("float32")
    >>> history = gan.fit(points, batch_size=16, verbose=0)
    >>> gan.generate(3, seed=0).shape
    (3, 2)

    References: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957. Lin, Sekar, Fanti, "Why Spectral Normalization
    Stabilizes GANs: Analysis and Improvements", 2021, arXiv:2009.02773.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        latent_size: int | None = None,
        n_discriminator: int = 1,
        average_momentum: float | None = 0.999,
        seed: int | None = None,
        name: str = "gan",
        measure_once: bool = False,
    ) -> None:
        latent_size = _checks.check_networks(generator, discriminator, latent_size)
        n_discriminator = check_positive_integer("n_discriminator", n_discriminator)
        average_momentum = _checks.check_momentum("average_momentum", average_momentum)
        measure_once = _checks.check_measure_once(measure_once, discriminator)
        seed = check_seed(seed, optional=True)
        check_name(name)
        super().__init__(name=name)
        self.latent_size = latent_size
        self.n_discriminator = n_discriminator
        self.average_momentum = average_momentum
        self.measure_once = measure_once
        self.seed = seed
        self.generator = generator
        self.discriminator = discriminator
        self.averaged_generator = None
        if average_momentum is not None:
            self.averaged_generator = _frozen_copy(generator)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in _METRICS}
        self.r1 = self.gradient_penalty = 0.0
        self.build((None, latent_size))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: both networks are built."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Images of the averaged generator, or of the generator if there is no average."""
        network = self.averaged_generator or self.generator
        return network(inputs, training=training)

    def compile(
        self,
        generator_optimizer: Any,
        discriminator_optimizer: Any,
        loss: Any = "hinge",
        r1: float = 0.0,
        gradient_penalty: float = 0.0,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose what the networks minimize, and how.

        Args:
            generator_optimizer: Keras optimizer, or its name.
            discriminator_optimizer: Keras optimizer, or its name.
            loss: `"hinge"`, `"non-saturating"` (binary cross-entropy), `"wasserstein"`, or an
                object with the methods of `tfspecnorm.gan.losses.AdversarialLoss`. The three take
                logits: a discriminator that ends in a sigmoid is warned of.
            r1: Weight γ ≥ 0 of γ/2 · mean ‖∇D(x)‖² over the real images (arXiv:1801.04406).
            gradient_penalty: Weight λ ≥ 0 of λ · mean (‖∇D(x̂)‖ − 1)² over random points x̂
                between real and generated images (arXiv:1704.00028).
            run_eagerly: As in Keras.
            steps_per_execution: As in Keras.
            jit_compile: As in Keras.
            auto_scale_loss: Whether an optimizer of a network of the policy `"mixed_float16"` is
                put into a `LossScaleOptimizer`.

        Raises:
            ValueError: If an argument is outside of what is said above.
        """
        made = _checks.check_optimizers(generator_optimizer, discriminator_optimizer)
        loss = losses.get(loss)
        _ranges.warn_of_probabilities(self.discriminator, loss)
        r1 = _checks.check_weight("r1", r1)
        gradient_penalty = _checks.check_weight("gradient_penalty", gradient_penalty)
        check_jit_compile(jit_compile)
        settings = {
            "run_eagerly": check_boolean("run_eagerly", run_eagerly),
            "steps_per_execution": check_positive_integer(
                "steps_per_execution", steps_per_execution
            ),
            "jit_compile": jit_compile,
            "auto_scale_loss": check_boolean("auto_scale_loss", auto_scale_loss),
        }
        networks = (self.generator, self.discriminator)
        optimizers = []
        for optimizer, network in zip(made, networks, strict=True):
            half = network.dtype_policy.name == "mixed_float16"
            scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            if auto_scale_loss and half and not scaled:
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            if not optimizer.built:
                optimizer.build(network.trainable_variables)
            optimizers.append(optimizer)
        pair = OptimizerPair(*optimizers, *(part.trainable_variables for part in networks))
        super().compile(optimizer=pair, loss=None, **settings | {"auto_scale_loss": False})
        self.adversarial_loss = loss
        self.r1, self.gradient_penalty = r1, gradient_penalty
        self._settings = settings

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means of the logs, which every epoch begins anew."""
        penalized = self.r1 or self.gradient_penalty
        return [self.trackers[name] for name in _METRICS if name != "penalty" or penalized]

    def generate(
        self,
        count: int,
        seed: int | None = None,
        averaged: bool = True,
        batch_size: int = 64,
    ) -> np.ndarray:
        """Images for new latent vectors, in evaluation mode.

        Args:
            count: Positive integer, number of images.
            seed: Integer for the latent vectors, which are the same on every backend. Defaults
                to one drawn by `random`; training draws from elsewhere.
            averaged: Whether the averaged generator makes them, if there is one.
            batch_size: Positive integer, images made at a time, also where `count` is smaller: the
                generator is compiled once. Rounded up to a multiple of the devices of a
                `keras.distribution`.

        Returns:
            NumPy array of shape `(count, ...)`.

        Raises:
            ValueError: If an argument is outside of what is said above.
        """
        count = check_positive_integer("count", count)
        batch_size = check_positive_integer("batch_size", batch_size)
        seed = check_seed(seed, optional=True)
        if seed is None:
            seed = random.randrange(2**32)
        # Every batch is full, and divisible among devices.
        batch_size += -batch_size % _devices()
        made = count + -count % batch_size
        latents = np.random.default_rng(seed).standard_normal((made, self.latent_size))
        averaged = check_boolean("averaged", averaged)
        network = self.averaged_generator if averaged else None
        bring_up_to_date(self)
        images = (network or self.generator).predict(
            latents.astype(keras.config.floatx()), batch_size=batch_size, verbose=0
        )
        return images[:count]


def _devices() -> int:
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else distribution.device_mesh.devices.size


def _frozen_copy(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    if not copy.built:
        copy.build(network.input_shape)
    copy.name = f"averaged_{network.name}"
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy
