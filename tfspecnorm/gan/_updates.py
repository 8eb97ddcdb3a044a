"""One training step: updates of the discriminator, one of the generator, and of its average."""

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import keras
from keras import ops

from tfspecnorm._backend import gradients, replicas
from tfspecnorm._backend.datasets import watch_first
from tfspecnorm._backend.variables import run, step
from tfspecnorm.gan import _checks, _penalties, _ranges
from tfspecnorm.gan._optimizers import OptimizerPair
from tfspecnorm.surgery import measured_once

# Note [Whose state moves]
# Each update runs both networks in training mode, so that both compute what they compute in their
# own updates: with statistics of the batch, with dropout. But only the network that is being
# updated keeps what the call did to its other state, which are statistics, vectors of a power
# iteration and seeds. So a discriminator's vectors and statistics are those of its own two calls,
# on real and on generated images, however often a penalty or the generator looks at it, and a
# generator's statistics move once in a step.

# The latent vectors of every evaluation.
_EVALUATION_SEED = 0


class Updates(keras.Model):
    """Base of `GAN`: the steps of `fit` and `evaluate`, for networks that a subclass sets."""

    def fit(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """As in Keras, which without labels would drop weights unseen."""
        names = ("sample_weight", "class_weight")
        _checks.check_no_weights(**{name: options.get(name) for name in names})
        if hasattr(x, "shape"):
            # On JAX an error in a step loses the values of the variables.
            _checks.check_images(x, self.discriminator.input_shape[1:])
        x = self._watched(x, arguments[1] if len(arguments) > 1 else options.get("batch_size"))
        return super().fit(x, *arguments, **options)

    def _watched(self, x: Any, batch_size: Any) -> Any:
        """The data, with a warning for images out of the generator's range, of the first batch."""
        if type(x).__module__.startswith("tensorflow.") and hasattr(x, "element_spec"):
            if _ranges.last_activation(self.generator) is None:
                return x
            return watch_first(x, functools.partial(_ranges.warn_of_range, self.generator))
        images = _ranges.first_images(x, batch_size)
        if images is not None:
            _ranges.warn_of_range(self.generator, images)
        return x

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """As in Keras, which without labels would drop weights unseen."""
        _checks.check_no_weights(sample_weight=options.get("sample_weight"))
        return super().evaluate(*arguments, **options)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras, which calls it whenever training begins."""
        # Not in a step: a traced one goes on with the variables that it was traced with.
        pair = getattr(self, "optimizer", None)
        if isinstance(pair, OptimizerPair):
            _checks.check_trainable("generator", self.generator, pair.of_generator)
            _checks.check_trainable("discriminator", self.discriminator, pair.of_discriminator)
        return super().make_train_function(force=force)

    def train_step(self, *arguments: Any) -> Any:
        """One step of `fit`: on JAX from a state to a state, elsewhere on the variables."""
        return step(self, self._train, arguments)

    def test_step(self, *arguments: Any) -> Any:
        """One step of `evaluate`."""
        return step(self, self._test, arguments)

    def _train(self, data: Any) -> dict[str, Any]:
        count = 0
        for real in _parts(self._images(data), self.n_discriminator):
            count = ops.shape(real)[0]
            self._update_discriminator(real, count)
        self._update_generator(count)
        self._update_average()
        return self.get_metrics_result()

    def _test(self, data: Any) -> dict[str, Any]:
        real = self._images(data)
        count = ops.shape(real)[0]
        latents = self._latents(count, _EVALUATION_SEED)
        fake, _ = self._run(self.generator, latents, training=False)
        real_logits, _ = self._run(self.discriminator, real, training=False)
        fake_logits, _ = self._run(self.discriminator, fake, training=False)
        found = {
            "generator_loss": self.adversarial_loss.generator(fake_logits),
            "discriminator_loss": self.adversarial_loss.discriminator(real_logits, fake_logits),
            "real_logits": ops.mean(real_logits),
            "fake_logits": ops.mean(fake_logits),
        }
        self._record(count, found)
        return {name: self.trackers[name].result() for name in found}

    def _update_discriminator(self, real: Any, count: Any) -> None:
        latents = self._latents(count, self.seed_generator)
        fake = ops.stop_gradient(self._run(self.generator, latents)[0])

        def objective() -> tuple[Any, dict[str, Any]]:
            once = measured_once(self.discriminator) if self.measure_once else nullcontext()
            with once:
                real_logits, real_losses = self._run(self.discriminator, real, keep=True)
                fake_logits, fake_losses = self._run(self.discriminator, fake, keep=True)
                penalized = self.r1 or self.gradient_penalty
                penalty = self._penalty(real, fake, count) if penalized else None
            loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
            records = {
                "discriminator_loss": loss,
                "real_logits": ops.mean(real_logits),
                "fake_logits": ops.mean(fake_logits),
            }
            total = _sum([loss, *real_losses, *fake_losses])
            if penalty is not None:
                records["penalty"] = penalty
                total = total + penalty
            return total, records

        optimizer = self.optimizer.discriminator_optimizer
        self._record(count, self._descend(self.discriminator, optimizer, objective))

    def _penalty(self, real: Any, fake: Any, count: Any) -> Any:
        def logits(images: Any) -> Any:
            return self._run(self.discriminator, images)[0]

        penalty = 0.0
        if self.r1:
            penalty = penalty + self.r1 * _penalties.r1(logits, real)
        if self.gradient_penalty:
            shape = (1,) * (len(real.shape) - 1)
            fraction = self._draw(keras.random.uniform, count, shape, self.seed_generator)
            found = _penalties.one_centred(logits, real, fake, fraction)
            penalty = penalty + self.gradient_penalty * found
        return penalty

    def _update_generator(self, count: Any) -> None:
        latents = self._latents(count, self.seed_generator)

        def objective() -> tuple[Any, dict[str, Any]]:
            fake, losses = self._run(self.generator, latents, keep=True)
            loss = self.adversarial_loss.generator(self._run(self.discriminator, fake)[0])
            return _sum([loss, *losses]), {"generator_loss": loss}

        optimizer = self.optimizer.generator_optimizer
        self._record(count, self._descend(self.generator, optimizer, objective))

    def _update_average(self) -> None:
        if self.averaged_generator is None:
            return
        momentum = self.average_momentum
        pairs = zip(self.averaged_generator.weights, self.generator.weights, strict=True)
        for average, weight in pairs:
            value = ops.convert_to_tensor(weight.value)
            if weight.trainable:
                value = momentum * ops.convert_to_tensor(average.value) + (1 - momentum) * value
            average.assign(value)

    def _descend(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        objective: Callable[[], tuple[Any, dict[str, Any]]],
    ) -> dict[str, Any]:
        """One step down the objective in the variables of one network; what it records."""
        variables = network.trainable_variables
        # Optimizers add up the gradients of all replicas.
        count, _ = replicas.count_and_place()

        def scaled() -> tuple[Any, dict[str, Any]]:
            total, records = objective()
            regularized = [
                variable.regularizer(ops.convert_to_tensor(variable.value))
                for variable in variables
                if variable.regularizer is not None
            ]
            return optimizer.scale_loss(_sum([total, *regularized]) / count), records

        state = [*self.variables, *self.optimizer.variables]
        records, found = gradients.in_variables(scaled, variables, state)
        gradients.apply(optimizer, variables, found)
        return records

    def _run(
        self, network: keras.Model, inputs: Any, training: bool = True, keep: bool = False
    ) -> tuple[Any, list[Any]]:
        """Outputs in 32 bits and losses of a call, see Note [Whose state moves]."""
        mapping = [(v, ops.convert_to_tensor(v.value)) for v in network.variables]
        outputs, _, losses = run(
            lambda: network(inputs, training=training), mapping, assign=keep, collect_losses=True
        )
        return ops.cast(outputs, keras.config.floatx()), losses

    def _latents(self, count: Any, seed: Any) -> Any:
        return self._draw(keras.random.normal, count, (self.latent_size,), seed)

    def _draw(self, function: Callable[..., Any], count: Any, shape: Any, seed: Any) -> Any:
        """Random numbers, other ones on each replica."""
        number, place = replicas.count_and_place()
        drawn = function((number * count, *shape), seed=seed, dtype=keras.config.floatx())
        return drawn if number == 1 else drawn[place * count : (place + 1) * count]

    def _images(self, data: Any) -> Any:
        images, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _checks.check_no_weights(sample_weight=sample_weight)
        _checks.check_images(images, self.discriminator.input_shape[1:])
        return ops.cast(images, keras.config.floatx())

    def _record(self, count: Any, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.trackers[name].update_state(value, sample_weight=count)


def _parts(images: Any, number: int) -> Iterator[Any]:
    """Parts of ⌈b/n⌉ images each, spread over the batch.

    They are disjoint where n divides b, and overlap where it does not, as in a last batch that is
    smaller: no image is left out and no part is empty.
    """
    total = ops.shape(images)[0]
    size = (total + number - 1) // number
    for place in range(number):
        start = place * (total - size) // max(number - 1, 1)
        yield images[start : start + size]


def _sum(losses: list[Any]) -> Any:
    return sum(ops.sum(ops.cast(loss, keras.config.floatx())) for loss in losses)
