"""Model families of keras-hub and `keras.applications` as Keras has them, without wrappers."""

import keras
import numpy as np
import pytest

from tests import tools
from tests.hub import families

pytestmark = [
    pytest.mark.hub,
    pytest.mark.filterwarnings(
        # T5's attention, in every call.
        "ignore:.*was passed an input with a mask:UserWarning",
        # Tasks are loaded without their optimizer.
        "ignore:.*`compile\\(\\)` was not called as part of model loading:UserWarning",
        # The backbones of Llama and Mistral hold the matrix that only their tasks multiply with.
        "ignore:Gradients do not exist.*reverse_embeddings:UserWarning",
    ),
]

# `clone_model` makes each layer anew from its configuration.
NOT_CLONED = {
    "Llama": "`get_config` of a decoder asks for an attribute that it lacks",
    "ViT": "`get_config` of the embedding names what its constructor does not know",
    "DeiT": "`get_config` of the embedding names what its constructor does not know",
    "MiT": "`get_config` of an encoder names what its constructor does not know",
    "VAE": "`get_config` of the sampler lacks an argument of its constructor",
    "Whisper": "a clone lists its weights in another order",
    "GPT2CausalLM": "head and backbone of a clone share no embedding",
}
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
    before = model.get_weights()
    targets = families.compile_for_training(model)
    assert np.isfinite(np.ravel(model.train_on_batch(inputs, targets))[0])
    assert any((x != y).any() for x, y in zip(before, model.get_weights(), strict=True))
    after = outputs_of(model)
    assert all(np.isfinite(part).all() for part in after)
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
    """A clone is a plain Functional model, whatever the class."""
    model = families.FAMILIES[name]()
    if name in NOT_CLONED:
        with pytest.raises((AttributeError, TypeError, ValueError)):
            keras.models.clone_model(model).set_weights(model.get_weights())
        return
    copy = keras.models.clone_model(model)
    assert type(copy) is type(keras.Model(model.inputs, model.outputs))
    copy.set_weights(model.get_weights())
    assert_equal_outputs(copy, outputs_of(model))
