"""Losses against numbers worked out by hand, and their names."""

import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm.gan import losses

REAL = np.array([[2.0], [0.5]], "float32")
FAKE = np.array([[-3.0], [0.0], [1.0]], "float32")


def softplus(value):
    return math.log1p(math.exp(value))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("hinge", (0 + 0.5) / 2 + (0 + 1 + 2) / 3, 2 / 3),
        (
            "non-saturating",
            (softplus(-2) + softplus(-0.5)) / 2 + (softplus(-3) + softplus(0) + softplus(1)) / 3,
            (softplus(3) + softplus(0) + softplus(-1)) / 3,
        ),
        ("wasserstein", -2 / 3 - 1.25, 2 / 3),
    ],
)
def test_values(name, discriminator, generator):
    loss = losses.get(name)
    real, fake = ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE)
    assert float(tools.array(loss.discriminator(real, fake))) == pytest.approx(discriminator)
    assert float(tools.array(loss.generator(fake))) == pytest.approx(generator)


@pytest.mark.parametrize("name", ["hinge", "non-saturating", "wasserstein"])
def test_losses_are_their_configuration(name):
    loss = losses.get(name)
    config = keras.saving.serialize_keras_object(loss)
    assert keras.saving.deserialize_keras_object(config) == loss
    assert losses.get(loss) is loss
    assert repr(loss) == f"{type(loss).__name__}()"


def test_loss_of_ones_own():
    class Squares:
        def discriminator(self, real_logits, fake_logits):
            return ops.mean(ops.square(real_logits - 1)) + ops.mean(ops.square(fake_logits))

        def generator(self, fake_logits):
            return ops.mean(ops.square(fake_logits - 1))

    own = Squares()
    assert losses.get(own) is own


@pytest.mark.parametrize("identifier", ["hinges", None, losses.Hinge, 3])
def test_what_is_no_loss_is_named(identifier):
    message = f'`loss` must be one of "hinge".*Received: loss={re.escape(repr(identifier))}'
    with pytest.raises(ValueError, match=message):
        losses.get(identifier)


@pytest.mark.parametrize("method", ["discriminator", "generator"])
def test_base_says_what_is_missing(method):
    arguments = (None, None) if method == "discriminator" else (None,)
    with pytest.raises(TypeError, match=f"AdversarialLoss must define `{method}`"):
        getattr(losses.AdversarialLoss(), method)(*arguments)
