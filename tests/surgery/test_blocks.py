"""The blocks that stand for other people's code work as plain Keras models."""

import keras
import numpy as np
import pytest

from tests import tools
from tests.surgery import blocks


@pytest.mark.parametrize("name", blocks.MODELS)
def test_a_block_trains_and_loads(name, tmp_path):
    model = blocks.MODELS[name]()
    inputs = blocks.batch(name)
    before = [tools.array(weight) for weight in model.weights]
    outputs = tools.array(model(inputs))
    model.compile("sgd", "mse")
    model.fit(inputs, np.ones_like(outputs), epochs=1, verbose=0)
    changed = [
        bool((tools.array(weight) != value).any())
        for weight, value in zip(model.weights, before, strict=True)
    ]
    # The softmax of attention does not see the bias of the keys.
    still = [w.path for w, moved in zip(model.weights, changed, strict=True) if not moved]
    assert all("key" in path and "bias" in path for path in still), still
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    np.testing.assert_allclose(
        tools.array(loaded(inputs)), tools.array(model(inputs)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "name", ["backbone", "without-build", "classifier", "language-model", "net"]
)
def test_a_copy_from_the_configuration(name):
    model = blocks.MODELS[name]()
    copy = type(model).from_config(model.get_config())
    assert type(copy) is type(model)
    inputs = blocks.batch(name)
    copy(inputs)
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(
        tools.array(copy(inputs)), tools.array(model(inputs)), rtol=1e-5, atol=1e-6
    )


def test_the_head_is_tied():
    model = blocks.MODELS["language-model"]()
    assert len(model.weights) == len(model.backbone.weights)
    inputs = blocks.batch("language-model")
    np.testing.assert_array_equal(
        tools.array(model.generate(inputs)), tools.array(model(inputs)).argmax(-1)
    )
