"""Model families of keras-hub and `keras.applications` as Keras has them, without wrappers."""

import keras
import numpy as np
import pytest

from tests import tools
from tests.hub import families

pytestmark = [
    pytest.mark.hub,
    # T5's attention, in every call.
    pytest.mark.filterwarnings("ignore:.*was passed an input with a mask:UserWarning"),
]
every_family = pytest.mark.parametrize("name", families.FAMILIES)


def outputs_of(model):
    return [tools.array(part) for part in keras.tree.flatten(model(families.batch(model)))]


def assert_equal_outputs(model, expected):
    for received, wanted in zip(outputs_of(model), expected, strict=True):
        np.testing.assert_allclose(received, wanted, rtol=1e-5, atol=1e-6)


@every_family
def test_training_step_and_file(name, tmp_path):
    model = families.FAMILIES[name]()
    inputs = families.batch(model)
    before = outputs_of(model)
    model.compile("sgd", "mse")
    targets = keras.tree.map_structure(
        lambda part: np.zeros(part.shape, "float32"), model(inputs)
    )
    assert np.isfinite(np.ravel(model.train_on_batch(inputs, targets))[0])
    after = outputs_of(model)
    assert all(np.isfinite(part).all() for part in after)
    assert any(np.abs(x - y).max() > 0 for x, y in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert_equal_outputs(loaded, after)


@every_family
def test_from_config(name):
    model = families.FAMILIES[name]()
    copy = type(model).from_config(model.get_config())
    assert type(copy) is type(model)
    copy.set_weights(model.get_weights())
    assert_equal_outputs(copy, outputs_of(model))


@every_family
def test_clone_model(name):
    model = families.FAMILIES[name]()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    assert_equal_outputs(copy, outputs_of(model))
