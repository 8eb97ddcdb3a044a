"""Subclasses of Functional and Sequential models keep their class."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm.layers import SpectralNorm, WeightNorm


@keras.saving.register_keras_serializable(package="tests")
class WidthAlone(keras.Model):
    """A constructor and a configuration of its own, and a loss that a plain model lacks."""

    def __init__(self, width=3, **kwargs):
        inputs = keras.Input((4,), name="given")
        hidden = layers.Dense(width, name="hidden", use_bias=False)(inputs)
        hidden = layers.BatchNormalization(name="batch")(hidden)
        super().__init__(inputs, layers.Dense(2, name="out")(hidden), **kwargs)
        self.width = width

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 100.0 + super().compute_loss(x, y, y_pred, sample_weight)

    def get_config(self):
        return {"width": self.width, "name": self.name}


@keras.saving.register_keras_serializable(package="tests")
class Shifted(keras.Model):
    """The constructor of a Functional model, a loss of its own."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 100.0 + super().compute_loss(x, y, y_pred, sample_weight)


@keras.saving.register_keras_serializable(package="tests")
class ShiftedBy(Shifted):
    """The same with an option, which its configuration names."""

    def __init__(self, *args, shift=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift = shift

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}


class Doubled(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs)


class DoubledWidth(Doubled):
    def __init__(self, units):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(units)(inputs))


class Listed(keras.Sequential):
    def generate(self):
        return "generated"


class Stacked(keras.Sequential):
    def __init__(self, units, **kwargs):
        super().__init__([keras.Input((4,)), layers.Dense(units)], **kwargs)

    def generate(self):
        return "generated"


def graph():
    inputs = keras.Input((4,))
    return inputs, layers.Dense(2, name="out")(layers.Dense(3, name="hidden")(inputs))


def loss_of(model):
    model.compile("sgd", "mse")
    inputs = np.zeros((4, 4), "float32")
    return model.evaluate(inputs, tools.array(model(inputs)), verbose=0)


@pytest.mark.parametrize("nested", [False, True])
def test_a_constructor_of_its_own_keeps_the_class(nested):
    own = WidthAlone()
    model = own
    if nested:
        inputs = keras.Input((4,))
        model = keras.Model(inputs, own(inputs))
    x = tools.random(3, 4)
    expected = tools.array(model(x))
    wrapped = tfspecnorm.wrap(model, WeightNorm)
    found = wrapped.layers[-1] if nested else wrapped
    assert isinstance(found, WidthAlone)
    assert nested or loss_of(wrapped) == pytest.approx(100.0)
    np.testing.assert_allclose(tools.array(wrapped(x)), expected, rtol=1e-5, atol=1e-6)
    folded = tfspecnorm.fold(wrapped)
    assert type(folded.layers[-1] if nested else folded) is WidthAlone
    np.testing.assert_allclose(tools.array(folded(x)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="`train_step`.*Received: WidthAlone named"):
        tfspecnorm.wrap(model, SpectralNorm, remove_batch_normalization=True)
    with pytest.warns(UserWarning, match=r"\['batch'\] are not folded.*WidthAlone"):
        tfspecnorm.fold(model, batch_norm=True)


@pytest.mark.parametrize("make", [lambda: DoubledWidth(3), lambda: Stacked(3)])
def test_a_class_whose_configuration_lacks_its_arguments_is_named(make):
    inputs = keras.Input((4,))
    for model in (make(), keras.Model(inputs, make()(inputs))):
        name = type(model.layers[-1] if type(model).__name__ == "Functional" else model).__name__
        with pytest.raises(ValueError, match=f"`get_config` of {name} lacks {{'units'}}"):
            tfspecnorm.wrap(model, SpectralNorm)


def test_a_class_without_changes_is_copied():
    model = WidthAlone(5)
    inputs = tools.random(3, 4)
    copy = tfspecnorm.fold(model)
    assert type(copy) is WidthAlone
    assert copy.width == 5
    np.testing.assert_array_equal(tools.array(copy(inputs)), tools.array(model(inputs)))
    given = keras.Input((4,))
    outer = keras.Model(given, layers.Dense(3, name="head")(WidthAlone(5, name="backbone")(given)))
    wrapped = tfspecnorm.wrap(outer, SpectralNorm, where=lambda layer: layer.name == "head")
    assert type(wrapped.get_layer("backbone")) is WidthAlone
    expected = tools.array(outer.get_layer("backbone")(inputs))
    np.testing.assert_array_equal(tools.array(wrapped.get_layer("backbone")(inputs)), expected)


@pytest.mark.parametrize("change", [lambda m: tfspecnorm.wrap(m, SpectralNorm), tfspecnorm.fold])
def test_the_constructor_of_a_functional_model_keeps_the_class(change):
    new = change(Shifted(*graph()))
    assert type(new) is Shifted
    assert loss_of(new) == pytest.approx(100.0)
    new = change(ShiftedBy(*graph(), shift=7.0))
    assert type(new) is ShiftedBy
    assert new.shift == 7.0
    assert change(Listed([keras.Input((4,)), layers.Dense(2)])).generate() == "generated"


def test_a_call_of_its_own_is_kept_with_the_class():
    model = Doubled(*graph())
    inputs = tools.random(3, 4)
    wrapped = tfspecnorm.wrap(model, WeightNorm)
    assert type(wrapped) is Doubled
    expected = tools.array(model(inputs))
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, rtol=1e-5)


def test_an_option_that_no_configuration_names_is_refused():
    class Secret(Shifted):
        def __init__(self, *args, secret=1.0, **kwargs):
            super().__init__(*args, **kwargs)

    with pytest.raises(ValueError, match="of class Secret.*lacks {'secret'}"):
        tfspecnorm.wrap(Secret(*graph(), secret=2.0), SpectralNorm)


def test_a_grouped_model_keeps_its_class():
    inputs = keras.Input((4,))
    for model in (
        Shifted(inputs, SpectralNorm(layers.Dense(2))(inputs)),
        Listed([keras.Input((4,)), SpectralNorm(layers.Dense(2))]),
    ):
        kind, x = type(model), np.ones((1, 4), "float32")
        wanted = keras.ops.convert_to_numpy(model(x))
        assert type(tfspecnorm.group(model)) is kind
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), wanted, atol=1e-6)


def test_reports_bounds_and_files_of_a_class_with_its_own_configuration(tmp_path):
    model = WidthAlone()
    assert [record.layer for record in tfspecnorm.spectral_report(model)] == ["hidden", "out"]
    slope = 1 / np.sqrt(1 + model.get_layer("batch").epsilon)
    kernels = [tools.array(model.get_layer(name).kernel) for name in ("hidden", "out")]
    largest = [tools.largest_singular_value(kernel) for kernel in kernels]
    bound = tfspecnorm.lipschitz_bound(model).bound
    np.testing.assert_allclose(bound, slope * np.prod(largest), rtol=1e-5)
    report = tfspecnorm.export(model, tmp_path / "plain.keras")
    assert report.largest_difference < 1e-5
    assert report.operators == {"Dense": 2}
    assert [part.name for part in report.inputs] == ["given"]


def test_a_bound_is_not_taken_from_layers_that_a_call_of_its_own_may_use_otherwise():
    (factor,) = tfspecnorm.lipschitz_bound(Doubled(*graph())).layers
    assert factor.factor == np.inf
    assert "a model with a `call` of its own" in factor.reason
    inputs = keras.Input((4,))
    report = tfspecnorm.lipschitz_bound(keras.Model(inputs, Doubled(*graph(), name="own")(inputs)))
    assert report.unbounded == ["own"]
    assert len(tfspecnorm.spectral_report(Doubled(*graph()))) == 2
    assert ops.shape(Doubled(*graph())(tools.random(2, 4))) == (2, 2)
