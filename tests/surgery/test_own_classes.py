"""Models whose code makes the layers: wrapped where the layers stand, saved, folded."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.surgery import blocks
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import MeanSpectralNorm, Reparameterization, SpectralNorm, WeightNorm

# Matrices that `wrap` normalizes, those that it names, and the wrappers.
COUNTS = {
    "built-late": (6, 0, 3),
    "built-early": (6, 0, 3),
    "without-build": (13, 1, 7),
    "listed": (8, 0, 5),
    "pixel-attention": (4, 0, 4),
    "causal": (3, 0, 3),
    "backbone": (13, 1, 7),
    "classifier": (14, 1, 8),
    "language-model": (13, 1, 7),
    "net": (9, 0, 6),
}
NAMED = pytest.mark.filterwarnings("ignore:`wrap` leaves")
every_model = pytest.mark.parametrize("name", blocks.MODELS)


def wrappers_in(model):
    return [part for part in layers_in(model) if isinstance(part, Reparameterization)]


def trained(name, wrapper):
    """A wrapped model after a step that moves its kernels far."""
    model = tfspecnorm.wrap(blocks.MODELS[name](), wrapper)
    inputs = blocks.batch(name)
    model.compile(keras.optimizers.SGD(0.3), "mse")
    model.train_on_batch(inputs, np.ones(model(inputs).shape))
    return model, inputs


def assert_equal_weights(one, other):
    # Names that Keras chose are numbered.
    assert [v.name for v in one.weights] == [v.name for v in other.weights]
    for left, right in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(tools.array(left), tools.array(right))


@NAMED
@every_model
def test_every_matrix_is_normalized_or_named(name):
    plain = blocks.MODELS[name]()
    model, inputs = trained(name, SpectralNorm)
    assert isinstance(model, type(plain))
    wrappers, left = wrappers_in(model), tfspecnorm.raw_matrices(model)
    kernels = [kernel for wrapper in wrappers for kernel in wrapper.kernels]
    assert (len(kernels), len(left), len(wrappers)) == COUNTS[name]
    assert len(tfspecnorm.raw_matrices(plain)) == len(kernels) + len(left)
    # Singular values by LAPACK of what the layers compute with.
    for wrapper in wrappers:
        effective = wrapper.effective_kernels()
        for kernel in wrapper.kernels:
            if kernel.linear_map.kind != "depthwise":
                matrix = kernel.linear_map.matrix(tools.array(effective[kernel.name]), np)
                assert tools.largest_singular_value(matrix) == pytest.approx(1.0, abs=1e-3)
    # A plain model with these kernels in place of its own.
    tfspecnorm.fold(model, into=plain)
    np.testing.assert_allclose(
        tools.array(model(inputs)), tools.array(plain(inputs)), rtol=1e-5, atol=1e-6
    )


@NAMED
@every_model
def test_weight_norm_changes_no_output(name):
    plain = blocks.MODELS[name]()
    inputs = blocks.batch(name)
    model = tfspecnorm.wrap(plain, WeightNorm)
    np.testing.assert_allclose(
        tools.array(model(inputs)), tools.array(plain(inputs)), rtol=1e-4, atol=1e-5
    )


@NAMED
@every_model
def test_files_and_copies(name, tmp_path):
    model, inputs = trained(name, SpectralNorm)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again = tfspecnorm.wrap(blocks.MODELS[name](), SpectralNorm)
    again.load_weights(tmp_path / "model.weights.h5")
    for other in (loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_equal_weights(other, model)
        assert type(other) is type(model)
    for other in (loaded, again):
        np.testing.assert_array_equal(tools.array(other(inputs)), tools.array(model(inputs)))
    # The copy goes on as the model does.
    targets = np.ones(model(inputs).shape)
    for one in (again, model):
        one.compile(keras.optimizers.SGD(0.3), "mse")
    assert again.train_on_batch(inputs, targets) == pytest.approx(
        model.train_on_batch(inputs, targets), rel=1e-5
    )


@NAMED
@every_model
def test_folded_models_have_their_class_and_need_nothing(name, tmp_path):
    model, inputs = trained(name, WeightNorm)
    expected = tools.array(model(inputs))
    plain, folded = tfspecnorm.fold(model, report=True)
    assert type(plain) is type(blocks.MODELS[name]())
    assert len(folded) == COUNTS[name][2] and not any(entry.stays for entry in folded)
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, rtol=1e-5, atol=1e-6)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    assert not any(type(part).__module__.startswith("tfspecnorm") for part in layers_in(loaded))
    np.testing.assert_allclose(tools.array(loaded(inputs)), expected, rtol=1e-5, atol=1e-6)


@NAMED
@pytest.mark.parametrize("name", ["classifier", "language-model", "net"])
def test_a_wrapped_model_as_a_layer_of_another(name, tmp_path):
    model, inputs = trained(name, SpectralNorm)
    given = keras.Input(inputs.shape[1:], dtype=inputs.dtype)
    outer = keras.Model(given, layers.Dense(2, name="top")(model(given)))
    expected = tools.array(outer(inputs))
    outer.save(tmp_path / "outer.keras")
    loaded = keras.saving.load_model(tmp_path / "outer.keras")
    np.testing.assert_array_equal(tools.array(loaded(inputs)), expected)
    folded = tfspecnorm.fold(outer)
    assert type(folded.layers[1]) is type(blocks.MODELS[name]())
    np.testing.assert_allclose(tools.array(folded(inputs)), expected, rtol=1e-5, atol=1e-6)


@NAMED
def test_methods_go_through_the_wrappers():
    model, inputs = trained("net", SpectralNorm)
    folded = tfspecnorm.fold(model)
    for method in ("features", "generate"):
        received, wanted = (getattr(one, method)(inputs) for one in (model, folded))
        np.testing.assert_allclose(tools.array(received), tools.array(wanted), atol=1e-6)


@NAMED
def test_a_kernel_that_is_read_is_the_one_that_is_computed_with():
    """As in a head that is tied to a table of tokens, which is read, not called."""
    model, inputs = trained("language-model", SpectralNorm)
    folded = tfspecnorm.fold(model)
    np.testing.assert_allclose(
        tools.array(model(inputs)), tools.array(folded(inputs)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(
        tools.array(model.generate(inputs)), tools.array(folded.generate(inputs))
    )
    table = model.backbone.token_embedding.token_embedding
    assert tools.largest_singular_value(tools.array(table.embeddings)) == pytest.approx(1.0, 1e-3)
    with pytest.raises(AttributeError, match="'embeddings' of layer 'token_embedding'.*SpectralNo"):
        table.embeddings = 1.0


@NAMED
@pytest.mark.parametrize("wrapper", [WeightNorm, SpectralNorm])
def test_freezing_a_part_freezes_its_wrappers(wrapper):
    model, inputs = trained("classifier", wrapper)
    model.backbone.trainable = False
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"logits"}
    before = [tools.array(v) for v in model.backbone.weights]
    model.compile(keras.optimizers.SGD(0.3), "mse")
    model.train_on_batch(inputs, np.ones(model(inputs).shape))
    for old, variable in zip(before, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(old, tools.array(variable))
    model.backbone.trainable = True
    assert len(model.trainable_variables) > 20


@NAMED
def test_more_layers_of_a_wrapped_model_are_wrapped():
    model = blocks.MODELS["net"]()
    first = tfspecnorm.wrap(model, WeightNorm, where=lambda layer: layer.name == "first")
    inputs = blocks.batch("net")
    first.compile(keras.optimizers.SGD(0.3), "mse")
    first.train_on_batch(inputs, np.ones(first(inputs).shape))
    both = tfspecnorm.wrap(first, WeightNorm)
    assert len(wrappers_in(first)) == 1 and len(wrappers_in(both)) == 6
    np.testing.assert_allclose(
        tools.array(both(inputs)), tools.array(first(inputs)), rtol=1e-4, atol=1e-5
    )


def test_mean_spectral_norm_goes_where_it_can():
    with pytest.warns(UserWarning, match="leaves .* matrices") as caught:
        model = tfspecnorm.wrap(blocks.MODELS["net"](), MeanSpectralNorm)
    (message,) = (str(one.message) for one in caught if "leaves" in str(one.message))
    wrapped = {wrapper.layer.name for wrapper in wrappers_in(model)}
    assert wrapped == {"down", "widen", "last"}
    for path, reason in (("first/kernel", "no activation"), ("query/kernel", "add one bias")):
        assert path in message and reason in message
    inputs = blocks.batch("net")
    outputs = tools.array(model.widen(tools.random(16, 5), training=True))
    bias = tools.array(model.widen.bias)
    np.testing.assert_allclose(outputs.mean(axis=0), bias, atol=1e-5)
    folded = tfspecnorm.fold(model)
    np.testing.assert_allclose(
        tools.array(model(inputs)), tools.array(folded(inputs)), rtol=1e-5, atol=1e-6
    )
    # Nobody could give a bias to a layer that somebody's code makes without one.
    with pytest.raises(ValueError, match="must have a bias where somebody's code makes it"):
        tfspecnorm.wrap(blocks.MODELS["pixel-attention"](), MeanSpectralNorm)


@NAMED
def test_parts_are_not_copied_without_their_wrappers(tmp_path):
    model, _ = trained("classifier", SpectralNorm)
    for refused in (
        lambda: model.backbone.save(tmp_path / "part.keras"),
        lambda: keras.models.clone_model(model),
        lambda: type(model.logits).from_config(model.logits.get_config()),
    ):
        with pytest.raises(ValueError, match="cannot be saved or copied by itself"):
            refused()


@NAMED
def test_plain_weights_are_refused(tmp_path):
    plain = blocks.MODELS["net"]()
    plain.save_weights(tmp_path / "plain.weights.h5")
    model = tfspecnorm.wrap(plain, SpectralNorm)
    with pytest.raises(ValueError, match="load it into the plain model first"):
        model.load_weights(tmp_path / "plain.weights.h5")


@NAMED
def test_code_that_makes_other_layers_is_refused_when_a_file_is_loaded(tmp_path, monkeypatch):
    model, _ = trained("net", SpectralNorm)
    model.save(tmp_path / "model.keras")

    def build(self, input_shape):
        self.first = layers.Conv1D(self.hidden, 1, activation="relu", name="first")
        self.call(keras.ops.zeros((1, *input_shape[1:])))

    monkeypatch.setattr(blocks.Net, "build", build)
    with pytest.raises((TypeError, ValueError), match="makes other layers"):
        keras.saving.load_model(tmp_path / "model.keras")


@NAMED
@pytest.mark.parametrize("name", ["classifier", "net"])
def test_checkpoints_of_the_backend(name, tmp_path):
    model, inputs = trained(name, SpectralNorm)
    twin = tfspecnorm.wrap(blocks.MODELS[name](), SpectralNorm)
    if tools.BACKEND == "tensorflow":
        import tensorflow as tf

        path = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
        tf.train.Checkpoint(model=twin).restore(path).assert_existing_objects_matched()
    elif tools.BACKEND == "torch" and name == "net":
        twin.load_state_dict(model.state_dict())
    else:
        pytest.skip("no such file, or none that Keras itself restores")
    for one, other in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(tools.array(one), tools.array(other))


@NAMED
def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, inputs = trained("net", SpectralNorm)
    assert all(v.dtype == "float32" for v in model.weights)
    folded = tfspecnorm.fold(model)
    np.testing.assert_allclose(
        tools.array(model(inputs)), tools.array(folded(inputs)), rtol=0.02, atol=0.02
    )


@NAMED
@pytest.mark.parametrize("name", ["net", "backbone"])
def test_grouped(name):
    plain = blocks.MODELS[name]()
    alone, together = (tfspecnorm.wrap(plain, SpectralNorm, grouped=g) for g in (False, True))
    inputs = blocks.batch(name)
    for model in (alone, together):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(inputs, np.ones(model(inputs).shape))
    for one, other in zip(alone.weights, together.weights, strict=True):
        np.testing.assert_allclose(tools.array(one), tools.array(other), rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Regularized(keras.Model):
    """Losses of kernels, of outputs, and one that a layer of its own adds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3, kernel_regularizer="l2", name="first")
        self.second = layers.Dense(2, activity_regularizer="l1", name="second")
        self.positive = layers.ActivityRegularization(l2=0.1)

    def call(self, inputs):
        return self.positive(self.second(self.first(inputs)))


def test_losses_count_once():
    plain, inputs = Regularized(), tools.random(4, 5)
    plain(inputs)
    expected = sorted(float(tools.array(loss)) for loss in plain.losses)
    model = tfspecnorm.wrap(plain, WeightNorm)
    model(inputs)
    received = sorted(float(tools.array(loss)) for loss in model.losses)
    np.testing.assert_allclose(received, expected, rtol=1e-5)
    zeros = np.zeros((4, 2))
    for one in (plain, model):
        one.compile(keras.optimizers.SGD(0.0), "mse")
    assert model.train_on_batch(inputs, zeros) == pytest.approx(
        plain.train_on_batch(inputs, zeros), rel=1e-5
    )


@NAMED
def test_folded_where_it_is_and_saved(tmp_path):
    model, inputs = trained("net", SpectralNorm)
    expected = tools.array(model(inputs))
    assert tfspecnorm.fold(model, in_place=True) is model
    np.testing.assert_allclose(tools.array(model(inputs)), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(wrapper.is_folded for wrapper in wrappers_in(loaded))
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(model(inputs)))
