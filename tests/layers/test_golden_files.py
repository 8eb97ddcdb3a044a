"""Files of version 0.1 keep loading: `tests/golden/make_version_0_1.py` wrote them."""

import pathlib

import keras
import numpy as np
import pytest

from tests import tools
from tfspecnorm.gan import GAN

FOLDER = pathlib.Path(__file__).parents[1] / "golden" / "version_0_1"
MODELS = sorted(path.stem for path in FOLDER.glob("*.keras") if path.stem != "gan")


def stored(name):
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def numbered(arrays, name):
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{number}"] for number in range(count)]


def assert_all_close(outputs, expected):
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    for output, wanted in zip(outputs, expected, strict=True):
        largest = np.max(np.abs(wanted))
        np.testing.assert_allclose(tools.array(output), wanted, rtol=0, atol=1e-5 * largest)


def assert_computes_the_same(model, arrays):
    for value, wanted in zip(model.get_weights(), numbered(arrays, "weight"), strict=True):
        np.testing.assert_array_equal(value, wanted)
    inputs = numbered(arrays, "input")
    # Old versions of Keras do not turn the only input of a file into a list.
    inputs = inputs if isinstance(model.input, (list, tuple)) else inputs[0]
    assert_all_close(model(inputs, training=True), numbered(arrays, "training"))
    assert_all_close(model(inputs, training=False), numbered(arrays, "evaluation"))
    assert_all_close(model.predict(inputs, verbose=0), numbered(arrays, "evaluation"))


def test_the_folder_has_a_file_of_each_kind():
    assert len(MODELS) == 8


@pytest.mark.parametrize("name", MODELS)
def test_whole_model(name):
    assert_computes_the_same(keras.saving.load_model(FOLDER / f"{name}.keras"), stored(name))


@pytest.mark.parametrize("name", MODELS)
def test_weights_alone(name):
    model = keras.models.clone_model(keras.saving.load_model(FOLDER / f"{name}.keras"))
    model.load_weights(FOLDER / f"{name}.weights.h5")
    assert_computes_the_same(model, stored(name))


@pytest.mark.parametrize("weights", [False, True])
def test_gan(weights):
    model, arrays = keras.saving.load_model(FOLDER / "gan.keras"), stored("gan")
    if weights:
        for variable in model.weights:
            variable.assign(np.zeros_like(tools.array(variable)))
        model.load_weights(FOLDER / "gan.weights.h5")
    assert isinstance(model, GAN)
    for value, wanted in zip(model.get_weights(), numbered(arrays, "weight"), strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert_all_close(model.generate(4, seed=0), [arrays["evaluation_generated"]])
    assert_all_close(model.discriminator(arrays["images"]), [arrays["evaluation_logits"]])
