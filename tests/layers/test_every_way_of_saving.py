"""Every wrapper through every way of saving: what was restored computes what was saved."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.layers.families import WRAPPERS
from tfspecnorm import scales
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm

ALL = {
    **WRAPPERS,
    "spectral-limited": lambda layer: SpectralNorm(layer, scale=scales.Tanh(2.0)),
    "mean-learned": lambda layer: MeanSpectralNorm(layer, scale=scales.Learned()),
}


@pytest.fixture(scope="module")
def model(request):
    """A model whose vectors, gains, scales and means have moved, trained once for all tests."""
    wrap = ALL[request.param]
    if request.param == "spectral-per-gate":
        parts = [keras.Input((5, 3)), wrap(layers.LSTM(4)), layers.Dense(2)]
    else:
        parts = [
            keras.Input((5, 5, 2)),
            wrap(layers.SeparableConv2D(3, 2, use_bias=False)),
            layers.Flatten(),
            wrap(layers.Dense(2)),
        ]
    model = keras.Sequential(parts)
    tools.fit_steps(model, inputs_of(model, 8), tools.random(8, 2), epochs=2, learning_rate=0.3)
    return model


def inputs_of(model, batch=4):
    return tools.random(batch, *model.input_shape[1:], seed=3)


def keras_file(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def whole_model_in_hdf5(model, folder):
    # Keras changes how the model that it writes there is compiled, and 3.15 cannot read it back.
    copy.deepcopy(model).save(folder / "model.h5")
    return keras.saving.load_model(folder / "model.h5", compile=False)


def weights_file(model, folder):
    twin = other_weights(model)
    model.save_weights(folder / "model.weights.h5")
    twin.load_weights(folder / "model.weights.h5")
    return twin


def tensorflow_checkpoint(model, folder):
    import tensorflow as tf

    twin = other_weights(model)
    path = tf.train.Checkpoint(network=model).save(str(folder / "checkpoint"))
    status = tf.train.Checkpoint(network=twin).restore(path)
    # The twin has no optimizer.
    status.assert_existing_objects_matched().expect_partial()
    return twin


def pickled(model, folder):
    return pickle.loads(pickle.dumps(model))


def deep_copy(model, folder):
    return copy.deepcopy(model)


def state_dict(model, folder):
    import torch

    twin = other_weights(model)
    torch.save(model.state_dict(), folder / "model.pt")
    left = twin.load_state_dict(torch.load(folder / "model.pt"), strict=False)
    # Keras numbers the random generators of recurrent layers anew.
    assert all("seed_generator" in key for keys in left for key in keys)
    return twin


def orbax_checkpoint(model, folder):
    pytest.importorskip("orbax.checkpoint")
    save = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=False)
    # `load_model` of Keras 3.15 loses the weights of a Sequential: their paths are other ones.
    twin = other_weights(model)
    twin.compile_from_config(model.get_compile_config())
    save.set_model(model)
    save.on_epoch_end(0)
    save.on_train_end()
    twin.load_weights(folder)
    return twin


def other_weights(model):
    """A model of the same layers whose variables all have other values."""
    twin = keras.models.clone_model(model)
    twin.set_weights([value + 1 for value in model.get_weights()])
    return twin


WAYS = [keras_file, whole_model_in_hdf5, weights_file, pickled, deep_copy]
if hasattr(keras.callbacks, "OrbaxCheckpoint"):
    WAYS.append(orbax_checkpoint)
if tools.BACKEND == "tensorflow":
    WAYS.append(tensorflow_checkpoint)
if tools.BACKEND == "torch":
    WAYS.append(state_dict)


# Keras names no devices to Orbax where a model has none of its own.
@pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning")
@pytest.mark.parametrize(
    ("model", "way"),
    [
        # The quick run takes some ways for each wrapper, and all ways between them.
        pytest.param(name, way, marks=[pytest.mark.crossed] * ((row + column) % 3 > 0))
        for row, name in enumerate(ALL)
        for column, way in enumerate(WAYS)
    ],
    ids=lambda value: getattr(value, "__name__", value),
    indirect=["model"],
    scope="module",
)
def test_restored_model_computes_the_same(model, way, tmp_path):
    restored = way(model, tmp_path)
    inputs = inputs_of(model)
    np.testing.assert_array_equal(tools.array(restored(inputs)), tools.array(model(inputs)))
    # Evaluation does not read everything that training starts from.
    assert len(restored.weights) == len(model.weights)
    for saved, loaded in zip(model.weights, restored.weights, strict=True):
        assert loaded is not saved and loaded.name == saved.name
        np.testing.assert_array_equal(tools.array(loaded), tools.array(saved), saved.path)
