"""Random blocks of somebody's own: what the package promises of them, whatever they are made of."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tfspecnorm
from tests import tools
from tests.surgery.blocks import registered
from tests.test_random_models import random_plans
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import Reparameterization, SpectralNorm, WeightNorm

STEPS, WIDTH = 4, 3
LEAVES = ("dense", "convolution", "attention", "lstm", "both ways", "each step", "cell")
# What a block does with the layers that it holds.
WAYS = ("attributes", "list", "dict", "late", "twice", "matrix")


@registered
class OwnCell(layers.Layer):
    """A cell that holds dense layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_size = WIDTH
        self.inward = layers.Dense(WIDTH, name="inward")
        self.onward = layers.Dense(WIDTH, use_bias=False, name="onward")

    def build(self, input_shape):
        self.inward.build(input_shape)
        self.onward.build((input_shape[0], WIDTH))
        self.built = True

    def call(self, inputs, states):
        hidden = keras.ops.tanh(self.inward(inputs) + self.onward(states[0]))
        return hidden, [hidden]


def leaf(kind):
    """A layer from sequences of vectors to sequences of vectors of the same length."""
    if kind == "convolution":
        return layers.Conv1D(WIDTH, 2, padding="same", activation="relu")
    if kind == "attention":
        return SelfAttention()
    if kind == "lstm":
        return layers.LSTM(WIDTH, return_sequences=True)
    if kind == "both ways":
        inner = layers.GRU(WIDTH, return_sequences=True)
        return layers.Bidirectional(inner, merge_mode="sum")
    if kind == "each step":
        return layers.TimeDistributed(layers.Dense(WIDTH))
    if kind == "cell":
        return layers.RNN(OwnCell(), return_sequences=True)
    return layers.Dense(WIDTH, activation="tanh")


@registered
class SelfAttention(layers.Layer):
    """Attention of a sequence to itself, made in `build`."""

    def build(self, input_shape):
        self.attention = layers.MultiHeadAttention(1, 2)
        self.attention.build(input_shape, input_shape)
        self.built = True

    def call(self, inputs):
        return self.attention(inputs, inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


class _OfPlan:
    """What blocks and models of a plan have in common: a way, and the kinds of what they hold."""

    def make(self, way, plan):
        self.way, self.plan = way, plan
        if way != "late":
            self.hold()

    def hold(self):
        made = [of_plan(part) for part in self.plan]
        if self.way == "attributes":
            for number, part in enumerate(made):
                setattr(self, f"part_{number}", part)
        elif self.way == "dict":
            self.parts = {f"part_{number}": part for number, part in enumerate(made)}
        else:
            self.parts = made

    def held(self):
        if self.way == "attributes":
            return [getattr(self, f"part_{number}") for number in range(len(self.plan))]
        return list(self.parts.values()) if self.way == "dict" else list(self.parts)

    def build(self, input_shape):
        if self.way == "late":
            self.hold()
        for part in self.held():
            if not part.built:
                part.build((None, STEPS, WIDTH))
        if self.way == "matrix":
            self.matrix = self.add_weight(shape=(WIDTH, WIDTH), name="matrix")
        self.built = True

    def call(self, inputs):
        outputs = inputs
        for part in self.held():
            outputs = part(outputs)
        if self.way == "twice":
            outputs = self.held()[0](outputs)
        if self.way == "matrix":
            outputs = outputs @ keras.ops.convert_to_tensor(self.matrix)
        return inputs + outputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "way": self.way, "plan": self.plan}


@registered
class Block(_OfPlan, layers.Layer):
    """A layer of a plan."""

    def __init__(self, way, plan, **kwargs):
        super().__init__(**kwargs)
        self.make(way, plan)


@registered
class Network(_OfPlan, keras.Model):
    """A subclassed model of a plan."""

    def __init__(self, way, plan, **kwargs):
        super().__init__(**kwargs)
        self.make(way, plan)


def of_plan(plan):
    if isinstance(plan, str):
        return leaf(plan)
    way, parts = plan
    if way == "graph":
        inputs = keras.Input((STEPS, WIDTH))
        outputs = inputs
        for part in parts:
            outputs = of_plan(part)(outputs)
        return keras.Model(inputs, outputs)
    return Block(way, parts)


leaves = st.sampled_from(LEAVES)
plans = st.recursive(
    leaves,
    lambda part: st.tuples(
        st.sampled_from((*WAYS, "graph")), st.lists(part, min_size=1, max_size=3)
    ),
    max_leaves=5,
)


def matrices(model):
    """All variables of two axes or more that are not biases."""
    return [v for v in model.weights if len(v.shape) > 1 and v.name != "bias"]


def assert_close(one, other):
    np.testing.assert_allclose(tools.array(one), tools.array(other), rtol=1e-5, atol=1e-5)


def check(way, parts, is_model):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    inputs = tools.random(5, STEPS, WIDTH)
    if is_model:
        plain = Network(way, parts)
        plain.build((None, STEPS, WIDTH))
    else:
        given_inputs = keras.Input((STEPS, WIDTH))
        plain = keras.Model(given_inputs, Block(way, parts)(given_inputs))
    count, given = len(matrices(plain)), [tools.array(v) for v in plain.weights]
    assert_close(tfspecnorm.wrap(plain, WeightNorm)(inputs), plain(inputs))
    model = tfspecnorm.wrap(plain, SpectralNorm)
    assert isinstance(model, type(plain))
    wrappers = [part for part in layers_in(model) if isinstance(part, Reparameterization)]
    kernels = {id(kernel.variable) for part in wrappers for kernel in part.kernels}
    assert len(kernels) + len(tfspecnorm.raw_matrices(model)) == count
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.train_on_batch(inputs, np.ones(inputs.shape))
    expected = tools.array(model(inputs))
    assert_close(model.predict(inputs, verbose=0), expected)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        loaded = keras.saving.load_model(Path(folder) / "model.keras", compile=False)
        model.save_weights(Path(folder) / "model.weights.h5")
        again = tfspecnorm.wrap(plain, SpectralNorm)
        again.load_weights(Path(folder) / "model.weights.h5")
    for other in (loaded, again):
        assert_close(other(inputs), expected)
    folded = tfspecnorm.fold(model)
    assert type(folded) is type(plain) and len(matrices(folded)) == count
    assert_close(folded(inputs), expected)
    assert_close(tfspecnorm.fold(model, in_place=True)(inputs), expected)
    tfspecnorm.spectral_report(model)
    # Nothing has changed what was given.
    for old, variable in zip(given, plain.weights, strict=True):
        np.testing.assert_array_equal(old, tools.array(variable))


EXAMPLES = 4
parts_of_a_block = st.lists(plans, min_size=1, max_size=3)
left_as_they_are = pytest.mark.filterwarnings("ignore:.*leaves .* matrices")


@left_as_they_are
@settings(random_plans, max_examples=EXAMPLES)
@given(st.sampled_from(WAYS), parts_of_a_block, st.booleans())
def test_random_blocks_keep_the_promises(way, parts, is_model):
    check(way, parts, is_model)


@left_as_they_are
@pytest.mark.slow
@settings(random_plans, max_examples=10 * EXAMPLES)
@given(st.sampled_from(WAYS), parts_of_a_block, st.booleans())
def test_many_random_blocks_keep_the_promises(way, parts, is_model):
    check(way, parts, is_model)
