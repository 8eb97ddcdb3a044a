"""What the tests of the callback train, and how they look at it."""

import csv

import keras
from keras import layers

from tests import tools
from tests.tools import array, largest_singular_value, matrix_of

INPUTS = tools.random(16, 6, 6, 2)
TARGETS = tools.random(16, 3, seed=1)


def small_model(middle=None):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.Flatten(),
            middle or layers.Dense(3, name="head"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def fit(model, *callbacks, epochs=2, **arguments):
    arguments = {"batch_size": 4, "verbose": 0, "shuffle": False} | arguments
    return model.fit(INPUTS, TARGETS, epochs=epochs, callbacks=list(callbacks), **arguments)


def variables_of(model):
    """All that a model holds, bit by bit."""
    held = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return {id(v): array(v).tobytes() for v in held}


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Watch(keras.callbacks.Callback):
    """Matrix norms by LAPACK at the end of each epoch and step."""

    def __init__(self, *kernels):
        super().__init__()
        self.kernels, self.epochs, self.steps = kernels, [], []

    def measure(self):
        _ = self.model  # JAX: brings the variables up to date
        return [largest_singular_value(matrix_of(array(v), -1)) for v in self.kernels]

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.measure())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.measure())
