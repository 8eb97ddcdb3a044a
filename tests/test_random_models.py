"""Random Functional models: what the package promises of every model, on models nobody wrote."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, tree

import tfspecnorm
from tests import tools
from tfspecnorm.layers import SpectralNorm

STEPS, FEATURES = 5, 4
ACTIVATIONS = ("linear", "relu", "tanh", "leaky_relu")
KINDS = (
    *("dense", "convolution", "again", "nested", "nested again", "add", "join", "scale"),
    *("activation", "row", "new axis", "features", "pool"),
)
STRUCTURES = ("single", "list", "dict", "nested")


@st.composite
def plans(draw, depth=2):
    """What a model is built of: steps with the places of what they take, and its outputs."""
    count = draw(st.integers(1, 6 if depth == 2 else 3))
    places = st.integers(0, 40)
    steps = []
    for _ in range(count):
        kind = draw(st.sampled_from(KINDS if depth else [k for k in KINDS if k != "nested"]))
        inner = draw(plans(depth=depth - 1)) if kind == "nested" else None
        steps.append((kind, draw(places), draw(places), inner))
    outputs = draw(st.lists(places, max_size=2))
    return steps, outputs, draw(st.sampled_from(STRUCTURES))


class Builder:
    """Builds the model of a plan. Tensors are sequences of vectors, or vectors, of one length."""

    def __init__(self, plan, shape=(STEPS, FEATURES)):
        self.steps, self.places, self.structure = plan
        self.inputs = keras.Input(shape)
        self.tensors = [self.inputs]
        self.made, self.models = [], []
        for step in self.steps:
            self.tensors.append(self.step(*step))

    def step(self, kind, first, second, inner):
        x = self.tensors[first % len(self.tensors)]
        alike = [y for y in self.tensors if y.shape == x.shape]
        y = alike[second % len(alike)]
        is_sequence = len(x.shape) == 3
        activation = ACTIVATIONS[second % len(ACTIVATIONS)]
        if kind == "convolution" and is_sequence:
            return self.new(layers.Conv1D(FEATURES, 3, padding="same", activation=activation), x)
        if kind == "again" and self.made:
            return self.made[second % len(self.made)](x)
        if kind == "nested":
            model = Builder(inner, x.shape[1:]).model()
            self.models.append((x.shape, model))
            return self.one_of(model(x), second)
        if kind == "nested again":
            fitting = [model for shape, model in self.models if shape == x.shape]
            if fitting:
                return self.one_of(fitting[first % len(fitting)](x), second)
        if kind == "add":
            return x + y if first % 2 else layers.Add()([x, y])
        if kind == "join":
            return self.new(layers.Dense(FEATURES), layers.Concatenate()([x, y]), shared=False)
        if kind == "scale":
            return layers.Rescaling((0.01, -3.0, 100.0)[second % 3])(x)
        if kind == "activation":
            return layers.Activation(activation)(x)
        if kind == "row" and is_sequence:
            return x[:, second % STEPS]
        if kind == "new axis":
            return x[:, None][:, 0]
        if kind == "features":
            return self.new(layers.Dense(FEATURES), x[..., second % 3 :], shared=False)
        if kind == "pool" and is_sequence:
            return layers.GlobalAveragePooling1D()(x)
        return self.new(layers.Dense(FEATURES, activation=activation), x)

    def new(self, layer, x, shared=True):
        if shared and isinstance(layer, layers.Dense):
            self.made.append(layer)
        return layer(x)

    def one_of(self, outputs, place):
        flat = tree.flatten(outputs)
        return flat[place % len(flat)]

    def model(self):
        """The last tensor, through a layer with a kernel, and others as they are."""
        outputs = [layers.Dense(FEATURES)(self.tensors[-1])]
        for place in self.places:
            tensor = self.tensors[place % len(self.tensors)]
            if all(tensor is not other for other in (self.inputs, *outputs)):
                outputs.append(tensor)
        first, *rest = outputs
        structure = {
            "single": first,
            "list": outputs,
            "dict": {f"output{number}": tensor for number, tensor in enumerate(outputs)},
            "nested": {"first": first, "rest": [*rest, {"again": layers.Identity()(first)}]},
        }[self.structure]
        return keras.Model(self.inputs, structure)


def samples(seed, count=4):
    return tools.random(count, STEPS, FEATURES, seed=seed)


def outputs_of(model, inputs):
    """All outputs of an evaluation call, each sample as one vector."""
    found = tree.flatten(model(inputs, training=False))
    return np.concatenate([tools.array(part).reshape(len(inputs), -1) for part in found], axis=1)


def predicted(model, inputs):
    found = tree.flatten(model.predict(inputs, verbose=0))
    return np.concatenate([part.reshape(len(inputs), -1) for part in found], axis=1)


def assert_same(one, other):
    scale = max(np.abs(other).max(), 1.0)
    np.testing.assert_allclose(one / scale, other / scale, atol=2e-5)


def plain_kernels(model):
    """The kernels of all layers of a plain model, each once."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found.update(plain_kernels(layer))
        elif hasattr(layer, "kernel"):
            found[id(layer)] = layer.kernel
    return found


def train_a_step(model, inputs):
    """Without `fit`, whose losses know neither lists in dicts nor dicts in lists."""

    def loss():
        outputs = tree.flatten(model(inputs, training=True))
        total = sum(keras.ops.mean(keras.ops.square(part - 1.0)) for part in outputs)
        # An output of a nested model that nobody reads has no gradient.
        return total + sum(0.0 * keras.ops.sum(variable) for variable in used)

    used = [v for v in model.trainable_variables if v.name in ("kernel", "bias")]
    slopes = [keras.ops.convert_to_tensor(part) for part in tools.gradients(loss, used)]
    assert any(np.abs(tools.array(part)).max() > 0 for part in slopes)
    keras.optimizers.SGD(1e-3).apply(slopes, used)


def observed_ratio(model):
    """The largest change of the outputs, all as one vector, over that of the inputs."""
    near = np.concatenate([samples(seed, 8) for seed in range(3)])
    step = np.concatenate([size * samples(9, 8) for size in (1e-2, 1.0, 10.0)])
    moved = outputs_of(model, near + step).astype("float64") - outputs_of(model, near)
    return (np.linalg.norm(moved, axis=1) / np.linalg.norm(step.reshape(24, -1), axis=1)).max()


def check(plan):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model, inputs = Builder(plan).model(), samples(0)
    kernels = plain_kernels(model)
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    # A function that is traced for each model takes longer than all the rest.
    wrapped.compile(run_eagerly=True)
    assert tree.map_structure(lambda part: part.shape, wrapped.output) == tree.map_structure(
        lambda part: part.shape, model.output
    )
    train_a_step(wrapped, inputs)
    expected = outputs_of(wrapped, inputs)
    assert_same(predicted(wrapped, inputs), expected)
    with tempfile.TemporaryDirectory() as folder:
        wrapped.save(Path(folder) / "model.keras")
        loaded = keras.saving.load_model(Path(folder) / "model.keras", compile=False)
    assert_same(outputs_of(loaded, inputs), expected)
    plain = tfspecnorm.fold(wrapped)
    assert_same(outputs_of(plain, inputs), expected)
    folded = plain_kernels(plain)
    assert len(folded) == len(kernels)
    report = tfspecnorm.spectral_report(wrapped)
    assert len(report) == len(kernels)
    norms = [
        tools.largest_singular_value(tools.matrix_of(tools.array(kernel), -1))
        for kernel in folded.values()
    ]
    np.testing.assert_allclose(
        sorted(record.matrix_norm for record in report), sorted(norms), rtol=1e-4
    )
    for network in (wrapped, plain):
        bound = tfspecnorm.lipschitz_bound(network)
        assert bound.certified
        assert observed_ratio(network) <= float(bound.bound) * (1 + 1e-4) + 1e-6


random_plans = settings(derandomize=True, deadline=None, database=None)


@settings(random_plans, max_examples=6)
@given(plans())
def test_random_models_keep_the_promises(plan):
    check(plan)


@pytest.mark.slow
@settings(random_plans, max_examples=200)
@given(plans())
def test_many_random_models_keep_the_promises(plan):
    check(plan)
