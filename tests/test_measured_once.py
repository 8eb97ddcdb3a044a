"""Several calls of a model with kernels that were measured once."""

import contextlib
import contextvars
import functools
import gc

import keras
import numpy as np
import pytest

import tfspecnorm
from tests import tools
from tests.gan import networks
from tfspecnorm import layers, measured_once, norms
from tfspecnorm.layers import _shared_kernels, scales
from tfspecnorm.layers.reparameterization import Reparameterization

WRAPPERS = {
    "spectral": layers.SpectralNorm,
    "two iterations": functools.partial(layers.SpectralNorm, power_iterations=2),
    "bound": functools.partial(layers.SpectralNorm, bound=0.5),
    "learned": lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()),
    "operator": functools.partial(layers.SpectralNorm, norm="operator"),
    "bidirectional": layers.BidirectionalSpectralNorm,
    "mean": layers.MeanSpectralNorm,
    "weight": layers.WeightNorm,
}


def network(wrap=layers.SpectralNorm):
    """Kernels whose vectors are not where they converge."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            wrap(keras.layers.Conv2D(4, 3)),
            keras.layers.LeakyReLU(),
            wrap(keras.layers.DepthwiseConv2D(3, padding="same")),
            keras.layers.Flatten(),
            wrap(keras.layers.Dense(2)),
        ]
    )
    for number, layer in enumerate(model.layers):
        if hasattr(layer, "kernels"):
            for kernel in layer.kernels:
                kernel.variable.assign(tools.random(*kernel.variable.shape, seed=number))
    return model


def state_of(model):
    """Vectors and running means, by path: all that a call moves."""
    return {variable.path: tools.array(variable) for variable in model.non_trainable_variables}


REAL, FAKE = tools.random(2, 6, 6, 3, seed=1), tools.random(3, 6, 6, 3, seed=2)


@pytest.mark.parametrize("kind", WRAPPERS)
def test_each_call_is_a_first_call(kind):
    """Outputs are those of two models of which each is called once."""
    wanted = [
        tools.array(network(WRAPPERS[kind])(images, training=True)) for images in (REAL, FAKE)
    ]
    model = network(WRAPPERS[kind])
    with measured_once(model):
        found = [tools.array(model(images, training=True)) for images in (REAL, FAKE)]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("kind", WRAPPERS)
def test_gradient_is_that_of_two_first_calls(kind):
    def loss(model, images):
        return keras.ops.sum(keras.ops.square(model(images, training=True)))

    parts = []
    for images in (REAL, FAKE):
        model = network(WRAPPERS[kind])
        parts.append(tools.gradients(lambda: loss(model, images), model.trainable_variables))  # noqa: B023
    model = network(WRAPPERS[kind])

    def both():
        with measured_once(model):
            return loss(model, REAL) + loss(model, FAKE)

    found = tools.gradients(both, model.trainable_variables)
    for one, first, second in zip(found, *parts, strict=True):
        scale = np.abs(first + second).max()
        np.testing.assert_allclose(one / scale, (first + second) / scale, atol=2e-5)


@pytest.mark.parametrize("kind", ["spectral", "two iterations", "bidirectional", "operator"])
def test_vectors_take_the_step_of_one_call(kind):
    model, other = network(WRAPPERS[kind]), network(WRAPPERS[kind])
    start = state_of(model)
    with measured_once(model):
        for images in (REAL, FAKE, REAL):
            model(images, training=True)
    other(REAL, training=True)
    moved = state_of(model)
    for (one, old), two in zip(
        zip(moved.values(), start.values(), strict=True), state_of(other).values(), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-6)
        assert np.abs(one - old).max() > 1e-4
    model(REAL, training=True)
    later = state_of(model)
    assert any(np.abs(later[path] - moved[path]).max() > 1e-5 for path in moved)


def test_kernels_are_measured_once(monkeypatch):
    counts = {"measured": 0}
    measure = norms.Matrix.measure

    def counting(self, task):
        counts["measured"] += 1
        return measure(self, task)

    monkeypatch.setattr(norms.Matrix, "measure", counting)
    head = layers.SpectralNorm(keras.layers.Dense(2))
    model = keras.Sequential([keras.Input((3,)), head])
    counts["measured"] = 0
    with measured_once(model):
        assert counts["measured"] == 1
        for _ in range(3):
            model(np.ones((1, 3), "float32"), training=True)
    assert counts["measured"] == 1
    model(np.ones((1, 3), "float32"), training=True)
    assert counts["measured"] == 2


@pytest.mark.parametrize("kind", ["spectral", "weight"])
def test_all_calls_have_the_very_same_kernel(kind):
    seen = []

    class Dense(keras.layers.Dense):
        def call(self, inputs, training=None):
            seen.append(self.kernel.value)
            return super().call(inputs)

    tfspecnorm.kernels.register(Dense)(
        lambda layer: [tfspecnorm.kernels.Kernel("kernel", layer.kernel, norms.dense((3, 2)))]
    )
    model = keras.Sequential([keras.Input((3,)), WRAPPERS[kind](Dense(2))])
    seen.clear()
    with measured_once(model):
        for _ in range(3):
            model(np.ones((1, 3), "float32"), training=True)
    assert len(seen) == 3
    assert seen[0] is seen[1] is seen[2]


def test_evaluation_inside_measures_for_itself():
    model = network()
    wanted = tools.array(model(REAL, training=False))
    with measured_once(model):
        found = tools.array(model(REAL, training=False))
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(tools.array(model(REAL, training=True)) - wanted).max() > 1e-3


def test_evaluation_can_be_measured_once():
    model = network()
    start, wanted = state_of(model), tools.array(model(REAL, training=False))
    with measured_once(model, training=False):
        for _ in range(2):
            np.testing.assert_allclose(tools.array(model(REAL, training=False)), wanted, atol=1e-6)
    for path, value in state_of(model).items():
        np.testing.assert_array_equal(value, start[path])


@pytest.mark.parametrize("kind", ["spectral", "weight"])
def test_function_that_is_traced_inside_does_not_keep_the_kernels(kind):
    model = network(WRAPPERS[kind])
    with measured_once(model, training=False):
        first = model.predict(REAL, verbose=0)
    for variable in model.trainable_variables:
        variable.assign(tools.random(*variable.shape, seed=9))
    wanted = tools.array(model(REAL, training=False))
    np.testing.assert_allclose(model.predict(REAL, verbose=0), wanted, atol=1e-5)
    assert np.abs(first - wanted).max() > 1e-2


@pytest.mark.skipif(
    tools.BACKEND == "tensorflow", reason="each reading of a variable is a new tensor"
)
@pytest.mark.parametrize("kind", ["spectral", "learned", "weight"])
def test_other_weights_are_measured_for_themselves(kind):
    model = network(WRAPPERS[kind])
    others = [keras.ops.convert_to_tensor(variable.value) for variable in model.trainable_variables]
    # The last kernel, and what lies behind it: a bias, a scale or a gain.
    for place in range(-3, 0):
        others[place] = keras.ops.convert_to_tensor(tools.random(*others[place].shape, seed=9))
    state = [keras.ops.convert_to_tensor(v.value) for v in model.non_trainable_variables]
    wanted, _ = model.stateless_call(others, state, REAL, training=False)
    with measured_once(model, training=False):
        found, _ = model.stateless_call(others, state, REAL, training=False)
    np.testing.assert_allclose(tools.array(found), tools.array(wanted), atol=1e-6)


@pytest.mark.skipif(tools.BACKEND != "jax", reason="nested traces")
@pytest.mark.parametrize("kind", ["spectral", "weight"])
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_gradient_in_a_compiled_function(kind, inside):
    """Around what is differentiated it must not make constants of the kernels."""
    import jax

    model = network(WRAPPERS[kind])
    variables = model.trainable_variables
    state = [variable.value for variable in model.non_trainable_variables]

    def once(wanted):
        return measured_once(model) if wanted else contextlib.nullcontext()

    def gradient(values, within):
        def loss(values):
            mapping = [
                *zip(variables, values, strict=True),
                *zip(model.non_trainable_variables, state, strict=True),
            ]
            with keras.StatelessScope(mapping), once(within is True):
                return keras.ops.sum(keras.ops.square(model(REAL, training=True)))

        with keras.StatelessScope(list(zip(variables, values, strict=True))), once(within is False):
            return jax.grad(loss)(values)

    values = [variable.value for variable in variables]
    found = jax.jit(lambda values: gradient(values, inside))(values)
    for one, other in zip(found, gradient(values, None), strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-4)


@pytest.mark.skipif(tools.BACKEND != "torch", reason="derivatives are switched off and on")
def test_what_was_made_without_derivatives_does_not_serve_in_training():
    import torch

    model = network()
    with torch.no_grad():
        once = measured_once(model)
        once.__enter__()
    keras.ops.sum(model(REAL, training=True)).backward()
    once.__exit__(None, None, None)
    assert model.trainable_variables[0].value.grad is not None


def test_wrapper_that_is_not_built_is_left_alone():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = layers.SpectralNorm(keras.layers.Dense(2))
            self.unused = layers.SpectralNorm(keras.layers.Dense(2))

        def build(self, input_shape):
            self.used.build(input_shape)

        def call(self, inputs, training=None):
            return self.used(inputs, training=training)

    model = Model()
    model(REAL)
    with measured_once(model):
        model(REAL, training=True)
    assert not model.unused.built


@pytest.mark.parametrize("training", ["no", None, 1, np.ones(2, bool)])
def test_what_is_no_mode_is_an_error(training):
    with (
        pytest.raises(ValueError, match="Argument `training` must be `True` or `False`.*training="),
        measured_once(network(), training),
    ):
        pass


def test_model_without_wrappers_is_an_error():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="plain")])
    with (
        pytest.raises(ValueError, match="Argument `model` must hold a built wrapper.*without"),
        measured_once(model),
    ):
        pass


class Halved(Reparameterization):
    """A wrapper that a user might write: its kernel shrinks in each training call."""

    def create_state(self, kernel):
        self.factor = self.add_weight(shape=(), initializer="ones", trainable=False)

    def effective(self, kernel, value, training):
        factor = keras.ops.copy(keras.ops.convert_to_tensor(self.factor.value))
        if training:
            self.factor.assign(factor / 2)
        return value * factor


class Doubled(layers.SpectralNorm):
    def effective(self, kernel, value, training):
        return 2 * super().effective(kernel, value, training)


@pytest.mark.parametrize("wrap", [Halved, Doubled])
def test_wrappers_of_ones_own_compute_their_kernel_once(wrap):
    wanted = [tools.array(network(wrap)(images, training=True)) for images in (REAL, FAKE)]
    model, single = network(wrap), network(wrap)
    with measured_once(model):
        found = [tools.array(model(images, training=True)) for images in (REAL, FAKE)]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    single(REAL, training=True)
    moved, start = state_of(single), state_of(network(wrap))
    for one, other, old in zip(
        state_of(model).values(), moved.values(), start.values(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(other - old).max() > 1e-5


def assert_measures_for_itself(model):
    """Its kernels are other ones than those that were measured."""
    for variable in model.trainable_variables:
        variable.assign(tools.random(*variable.shape, seed=9))
    tfspecnorm.warm_up(model)
    twin = network()
    twin.set_weights(model.get_weights())
    wanted = tools.array(twin(REAL, training=True))
    np.testing.assert_allclose(tools.array(model(REAL, training=True)), wanted, atol=1e-5)


def entering(model):
    with measured_once(model):
        yield tools.array(model(REAL, training=True))
        yield tools.array(model(REAL, training=True))


def entering_through_a_stack(model):
    with contextlib.ExitStack() as stack:
        stack.enter_context(measured_once(model))
        yield from entering(model)


@pytest.mark.parametrize("generator", [entering, entering_through_a_stack])
def test_suspended_generator_does_not_serve_its_caller(generator):
    model = network()
    suspended = generator(model)
    first = next(suspended)
    model(FAKE, training=True)
    # Run again it has what it had.
    np.testing.assert_allclose(next(suspended), first, atol=1e-5)
    assert_measures_for_itself(model)
    suspended.close()
    assert_measures_for_itself(model)


def test_generators_that_end_out_of_order_leave_nothing():
    model = network()
    first, second = entering(model), entering(model)
    next(first), next(second)
    first.close()
    second.close()
    assert not _shared_kernels._BLOCKS.get()
    assert_measures_for_itself(model)


def test_generator_that_is_forgotten_leaves_nothing():
    model = network()
    forgotten = entering(model)
    next(forgotten)
    del forgotten
    gc.collect()
    assert not _shared_kernels._BLOCKS.get()


def test_context_copied_inside_serves_no_longer_than_the_block():
    model = network()
    with measured_once(model):
        copied = contextvars.copy_context()
    copied.run(assert_measures_for_itself, model)


def test_context_manager_that_enters_it_serves_its_block():
    @contextlib.contextmanager
    def both(*models):
        with contextlib.ExitStack() as stack:
            for part in models:
                stack.enter_context(measured_once(part))
            yield

    model, wanted = network(), tools.array(network()(FAKE, training=True))
    with both(model, network()):
        model(REAL, training=True)
        found = tools.array(model(FAKE, training=True))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_frozen_layers_stay():
    model = network()
    frozen = model.layers[0]
    frozen.trainable = False
    start = [tools.array(variable) for variable in frozen.state]
    with measured_once(model):
        first, second = (tools.array(model(REAL, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for variable, value in zip(frozen.state, start, strict=True):
        np.testing.assert_array_equal(tools.array(variable), value)


def test_grouped_model_in_it_is_measured_together_and_once(monkeypatch):
    calls = []
    together = norms.measure_together
    monkeypatch.setattr(
        _shared_kernels,
        "measure_together",
        lambda tasks: calls.append(len(tasks)) or together(tasks),
    )
    model, plain = tfspecnorm.group(network()), network()
    found, wanted = [], []
    for part, outputs in ((model, found), (plain, wanted)):
        with measured_once(part):
            outputs += [tools.array(part(images, training=True)) for images in (REAL, FAKE)]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert calls == [3, 0, 0]


def test_an_error_inside_ends_it():
    model, other = network(), network()
    with pytest.raises(RuntimeError), measured_once(model):
        raise RuntimeError
    for part in (model, other):
        part(REAL, training=True)
    np.testing.assert_allclose(
        tools.array(model(FAKE, training=True)), tools.array(other(FAKE, training=True)), atol=1e-5
    )


@pytest.mark.parametrize("model", [keras.layers.Dense(2), keras.Sequential()])
def test_what_is_no_built_model_is_an_error(model):
    with pytest.raises(ValueError, match="Argument `model` must be"), measured_once(model):
        pass


@pytest.mark.parametrize("measure_once", [False, True])
def test_gan_moves_vectors_once_or_twice_in_an_update(measure_once):
    gan = networks.compiled(
        networks.small_pair(), (0.0, 0.0), r1=0.5, measure_once=measure_once, n_discriminator=2
    )
    layer = gan.discriminator.layers[0]
    kernel = tools.random(2, 8, seed=4)
    layer.layer.kernel.assign(kernel)
    vector = tools.array(layer.state[1])
    assert vector.shape == (2,)
    networks.fit(gan, networks.data())
    for _ in range(2 if measure_once else 4):
        image = kernel.astype("float64").T @ vector
        vector = kernel @ (image / np.linalg.norm(image))
        vector /= np.linalg.norm(vector)
    np.testing.assert_allclose(tools.array(layer.state[1]), vector, atol=1e-5)


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_gan_with_converged_vectors_takes_the_same_step(penalty):
    found = []
    for measure_once in (False, True):
        keras.utils.set_random_seed(0)
        pair = networks.small_pair()
        pair[1].layers[0].layer.kernel.assign(np.eye(2, 8, dtype="float32") * [[2.0], [0.1]])
        tfspecnorm.warm_up(pair[1])
        gan = networks.compiled(pair, measure_once=measure_once, **{penalty: 0.5})
        networks.fit(gan, networks.data())
        found.append(networks.values(gan.trainable_variables))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_gan_without_wrappers_cannot_measure_once():
    with pytest.raises(ValueError, match="Argument `measure_once` must be `False`.*=True"):
        networks.compiled(networks.linear_pair(), measure_once=True)


def test_gan_keeps_the_option_in_its_configuration():
    gan = networks.compiled(networks.small_pair(), measure_once=True)
    assert type(gan).from_config(gan.get_config()).measure_once is True
    config = gan.get_config()
    # That of a file from before there was the option.
    del config["measure_once"]
    assert type(gan).from_config(config).measure_once is False
