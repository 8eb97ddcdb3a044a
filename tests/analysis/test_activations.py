"""Constants of activations against a search of difference quotients of the Keras functions."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tests.analysis import oracles
from tfspecnorm.analysis._activations import activation_constant

DENSE = np.linspace(-100.0, 100.0, 400_001)

ENTRYWISE = [
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]
MIXING = ["log_softmax", "softmax"]
WITHOUT = ["exponential", "glu", "hard_shrink", "threshold"]
MODULES = [keras.activations, ops]


def function_named(module, name):
    if not hasattr(module, name):
        pytest.skip(f"{module.__name__}.{name} is missing in Keras {keras.__version__}")
    return getattr(module, name)


@pytest.mark.parametrize("module", MODULES, ids=["activations", "ops"])
@pytest.mark.parametrize("name", ENTRYWISE)
def test_constant_is_the_largest_slope(module, name):
    function = function_named(module, name)
    slope, rounding = oracles.largest_slope(function, DENSE)
    constant = activation_constant(function)
    assert slope <= constant * (1 + rounding)
    assert constant <= slope * (1 + 1e-3)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (keras.activations.relu, {"negative_slope": 0.5}),
        (keras.activations.relu, {"negative_slope": 2.0, "max_value": 3.0}),
        (keras.activations.relu, {"negative_slope": 0.3, "max_value": 0.0}),
        (keras.activations.relu, {"max_value": 6}),
        (keras.activations.leaky_relu, {"negative_slope": 0.1}),
        (keras.activations.leaky_relu, {"negative_slope": 1.75}),
        (keras.activations.elu, {"alpha": 0.5}),
        (keras.activations.elu, {"alpha": 3.0}),
        (keras.activations.celu, {"alpha": 2.5}),
        (keras.activations.gelu, {"approximate": True}),
        (keras.activations.gelu, {"approximate": False}),
        (ops.gelu, {"approximate": False}),
        (ops.squareplus, {"b": 0.5}),
        (ops.soft_shrink, {"threshold": 2.0}),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_parameters_that_are_bound_by_a_partial_count(function, parameters):
    bound = functools.partial(function, **parameters)
    slope, rounding = oracles.largest_slope(bound, DENSE)
    constant = activation_constant(bound)
    assert slope <= constant * (1 + rounding)
    assert constant <= slope * (1 + 1e-3)


def test_gelu_with_tanh_differs_from_the_exact_one():
    exact = activation_constant(keras.activations.gelu)
    approximate = activation_constant(ops.gelu)
    assert exact == 1.1289042 and approximate == 1.1289931


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("module", MODULES, ids=["activations", "ops"])
@pytest.mark.parametrize("name", MIXING)
def test_constant_of_functions_that_mix_entries(module, name, size):
    function = function_named(module, name)
    constant = activation_constant(function, size)
    # The one step that gets the whole weight, or two steps that share it.
    peaks = [np.where(np.arange(size) < count, 0.0, -0.3 * size - 30.0) for count in (1, 2)]
    random = [scale * tools.random(size, seed=size, dtype="float64") for scale in (0.1, 1.0, 5.0)]
    found = [
        tools.largest_singular_value(oracles.jacobian(function, point))
        for point in (*peaks, *random)
    ]
    assert max(found) <= constant * (1 + 1e-8)
    assert constant <= max(found) * (1 + 1e-3)


def test_sparsemax_has_a_constant_where_keras_projects():
    """Keras 3.15 sums the cumulative sums, and jumps where an entry enters the support."""
    function = function_named(keras.activations, "sparsemax")
    before, behind = (np.array([[2.0, 1.0 + sign * 1e-4]], "float32") for sign in (-1, 1))
    change = np.linalg.norm(tools.array(function(before)) - tools.array(function(behind)))
    constant = activation_constant(function)
    assert constant == (None if change > 0.5 else 1.0)
    if constant is not None:
        slope = np.linalg.norm(oracles.jacobian(function, [2.0, 1.5]), 2)
        assert slope == pytest.approx(1.0, rel=1e-6)


def test_log_softmax_needs_the_size_of_the_axis():
    assert activation_constant(keras.activations.log_softmax) is None
    assert activation_constant(keras.activations.log_softmax, 9) == 3.0
    over_another_axis = functools.partial(keras.activations.log_softmax, axis=1)
    assert activation_constant(over_another_axis, 9) is None


@pytest.mark.parametrize("name", WITHOUT)
def test_functions_without_a_constant(name):
    assert activation_constant(function_named(keras.activations, name)) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        functools.partial(keras.activations.relu, threshold=1.0),
        functools.partial(keras.activations.relu, threshold=-1.0),
        functools.partial(keras.activations.celu, alpha=-1.0),
        functools.partial(keras.activations.celu, 2.0),
        functools.partial(ops.soft_shrink, threshold=-0.5),
    ],
)
def test_what_is_unknown_or_jumps_has_no_constant(function):
    assert activation_constant(function) is None


def test_every_keras_activation_is_decided_here():
    decided = {*ENTRYWISE, *MIXING, *WITHOUT, "sparsemax", "get", "serialize", "deserialize"}
    assert {name for name in dir(keras.activations) if not name.startswith("_")} <= decided


def test_parameter_that_is_not_finite_shows():
    assert math.isnan(
        activation_constant(functools.partial(keras.activations.elu, alpha=float("nan")))
    )


def test_layers_and_nothing_as_activation():
    assert activation_constant(None) == 1.0
    assert activation_constant(keras.layers.LeakyReLU(negative_slope=1.5)) == 1.5
    assert activation_constant(keras.layers.Activation("log_softmax"), 16) == 4.0
    assert activation_constant(keras.layers.Softmax(axis=1), 1) == 0.5
    assert activation_constant(keras.layers.Lambda(lambda x: x)) is None
    dense = keras.layers.Dense(4, activation=keras.layers.ELU(2.0))
    assert activation_constant(dense.activation) == 2.0
