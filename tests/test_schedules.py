import keras
import numpy as np
import pytest

from tests import tools
from tfspecnorm.schedules import QuadraticWarmUp


def values(schedule, steps):
    return [float(tools.array(schedule(step))) for step in steps]


def test_the_first_step_has_a_rate_and_the_last_of_the_warm_up_the_whole_one():
    np.testing.assert_allclose(
        values(QuadraticWarmUp(0.4, 4), range(6)), 0.4 * np.square([0.25, 0.5, 0.75, 1, 1, 1])
    )
    np.testing.assert_allclose(values(QuadraticWarmUp(0.4, 1), range(2)), [0.4, 0.4])


def test_from_a_rate_of_ones_own_the_first_step_has_that():
    schedule = QuadraticWarmUp(0.4, 20, initial_learning_rate=0.1)
    steps = range(40)
    expected = [0.1 + 0.3 * (min(step, 20) / 20) ** 2 for step in steps]
    np.testing.assert_allclose(values(schedule, steps), expected, rtol=1e-6)


@pytest.mark.parametrize("initial", [0.0, 0.2])
def test_milestones_of_a_schedule_count_from_the_first_step(initial):
    """Those that the authors' loop has: the rate of the step, times the square of the share."""
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([2, 6], [0.5, 0.4, 0.05])
    rates = [0.5] * 3 + [0.4] * 4 + [0.05] * 3
    shares = np.minimum((np.arange(10) + (initial == 0)) / 4, 1) ** 2
    expected = initial + (np.array(rates) - initial) * shares
    np.testing.assert_allclose(
        values(QuadraticWarmUp(decay, 4, initial), range(10)), expected, rtol=1e-6
    )


@pytest.mark.parametrize(
    "rate", [0.2, keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.5, 0.1])]
)
def test_configuration(rate):
    schedule = QuadraticWarmUp(rate, 4, 0.01)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()
    np.testing.assert_allclose(values(again, range(9)), values(schedule, range(9)))


def test_a_compiled_model_trains_with_it_and_loads(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, use_bias=False)])
    model.compile(keras.optimizers.SGD(QuadraticWarmUp(0.1, 10)), "mse")
    inputs, targets = tools.random(8, 4), tools.random(8, 2, seed=1)
    kernel = tools.array(model.layers[0].kernel).astype("float64")
    model.fit(inputs, targets, batch_size=8, epochs=3, verbose=0)
    for rate in (0.001, 0.004, 0.009):
        error = inputs @ kernel - targets
        kernel = kernel - rate * 2 * inputs.T @ error / error.size
    np.testing.assert_allclose(tools.array(model.layers[0].kernel), kernel, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(tools.array(loaded.optimizer.iterations)) == 3
    np.testing.assert_allclose(float(tools.array(loaded.optimizer.learning_rate)), 0.016, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 3), "`learning_rate` must be a positive number.*learning_rate=0.0"),
        (("0.1", 3), "`learning_rate` must be.*learning_rate='0.1'"),
        ((float("nan"), 3), "`learning_rate` must be.*=nan"),
        ((True, 3), "`learning_rate` must be.*=True"),
        ((0.1, 0), "`warm_up_steps` must be a positive integer.*warm_up_steps=0"),
        ((0.1, 2.5), "`warm_up_steps` must be.*=2.5"),
        ((0.1, True), "`warm_up_steps` must be.*=True"),
        ((0.1, 3, -1), "`initial_learning_rate` must be a number, 0 or larger.*=-1"),
        ((0.1, 3, None), "`initial_learning_rate` must be.*=None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuadraticWarmUp(*arguments)
