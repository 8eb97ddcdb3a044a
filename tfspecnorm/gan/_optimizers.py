"""Two optimizers where Keras knows of one."""

from typing import Any

import keras


class OptimizerPair(keras.optimizers.Optimizer):
    """The optimizers of generator and discriminator, as one that has the state of both.

    What goes through `model.optimizer` reaches both: saving and loading, the variables of a
    checkpoint or of a JAX training step. Each is applied on its own.

    Args:
        generator_optimizer: Keras optimizer, built.
        discriminator_optimizer: Keras optimizer, built.
        generator_variables: The variables that the first one trains.
        discriminator_variables: The variables that the second one trains.
        name: Name of the pair.

    Attributes:
        of_generator: The `id` of each variable that the first one trains.
        of_discriminator: The `id` of each variable that the second one trains.
    """

    def __init__(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        generator_variables: list[keras.Variable],
        discriminator_variables: list[keras.Variable],
        name: str = "optimizer_pair",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.of_generator = frozenset(id(variable) for variable in generator_variables)
        self.of_discriminator = frozenset(id(variable) for variable in discriminator_variables)
        self.built = True

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of both optimizers."""
        return [*self.generator_optimizer.variables, *self.discriminator_optimizer.variables]

    @property
    def iterations(self) -> Any:
        """Updates of the generator so far."""
        return self.generator_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """Learning rate of the generator; setting it multiplies both by the same factor."""
        return self.generator_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        before = float(keras.ops.convert_to_numpy(self.generator_optimizer.learning_rate))
        other = float(keras.ops.convert_to_numpy(self.discriminator_optimizer.learning_rate))
        # From zero there is no factor.
        self.generator_optimizer.learning_rate = value
        self.discriminator_optimizer.learning_rate = other * value / before if before else value

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        raise TypeError("The two optimizers of a GAN are applied one by one.")

    def stateless_apply(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("The two optimizers of a GAN are applied one by one.")

    def finalize_variable_values(self, var_list: Any) -> None:
        own = [variable for variable in var_list if id(variable) in self.of_generator]
        others = [variable for variable in var_list if id(variable) not in self.of_generator]
        self.generator_optimizer.finalize_variable_values(own)
        self.discriminator_optimizer.finalize_variable_values(others)

    def save_own_variables(self, store: Any) -> None:
        """Nothing: each of the two saves what it has."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing: each of the two loads what it has."""
