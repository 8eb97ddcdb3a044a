"""What the file of a GAN holds."""

from typing import Any

import keras

from tfspecnorm.gan._updates import Updates


class Saving(Updates):
    """Base of `GAN`: its arguments, those of `compile`, and its random seeds in a file."""

    def save_own_variables(self, store: Any) -> None:
        """The states of all random seeds, which Keras leaves out of a file."""
        for place, seed in enumerate(self._seeds()):
            store[str(place)] = seed.numpy()

    def load_own_variables(self, store: Any) -> None:
        """The states of all random seeds."""
        for place, seed in enumerate(self._seeds()):
            seed.assign(store[str(place)])

    def _seeds(self) -> list[keras.Variable]:
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]

    def get_config(self) -> dict[str, Any]:
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_size": self.latent_size,
            "n_discriminator": self.n_discriminator,
            "average_momentum": self.average_momentum,
            "measure_once": self.measure_once,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Saving":
        config = dict(config)
        for name in ("generator", "discriminator"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        return cls(**config)

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        objects = {
            "generator_optimizer": self.optimizer.generator_optimizer,
            "discriminator_optimizer": self.optimizer.discriminator_optimizer,
            "loss": self.adversarial_loss,
        }
        return {
            **{name: keras.saving.serialize_keras_object(part) for name, part in objects.items()},
            "r1": self.r1,
            "gradient_penalty": self.gradient_penalty,
            **self._settings,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(
            **{
                name: keras.saving.deserialize_keras_object(part)
                if isinstance(part, dict)
                else part
                for name, part in config.items()
            }
        )
