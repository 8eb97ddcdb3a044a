"""Operations of `keras.ops` and merges: their constants against Jacobians in double precision."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tests.analysis.oracles import jacobian
from tfspecnorm import lipschitz_bound

SHAPE = (3, 4)


def bound_of(function, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    return lipschitz_bound(keras.Model(inputs, function(*inputs)))


def as_one(function, shapes):
    """The function of one flat vector in place of several inputs, with one flat output."""
    sizes = np.cumsum([0, *map(math.prod, shapes)])

    def flat(vectors):
        parts = [
            ops.convert_to_tensor(vectors[:, start:stop].reshape(-1, *shape))
            for start, stop, shape in zip(sizes, sizes[1:], shapes, strict=False)
        ]
        outputs = [tools.array(part) for part in keras.tree.flatten(function(*parts))]
        return np.concatenate([part.reshape(len(part), -1) for part in outputs], axis=1)

    return flat


def slope(function, shapes, points, step=None):
    """The largest singular value of the Jacobians at some points, by LAPACK."""
    flat = as_one(function, shapes)
    with tools.double_precision():
        is_exact = flat(np.asarray(points, "float64")).dtype == "float64"
    # Some functions of Keras are in single precision on JAX and PyTorch, whatever they are given.
    step = step or (1e-6 if is_exact else 2e-2)
    return max(tools.largest_singular_value(jacobian(flat, point, step)) for point in points)


def random_points(shapes, count=5, scale=2.0):
    size = sum(map(math.prod, shapes))
    return scale * tools.random(count, size, seed=1).astype("float64")


def table(x):
    return ops.cast(tools.random(4, seed=3), x.dtype)


def ones(x):
    return ops.ones((3, 1), x.dtype)


# Each is linear, and its constant the norm of the map.
LINEAR = {
    "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, 2),
    "moveaxis": lambda x: ops.moveaxis(x, 2, 1),
    "reshape": lambda x: ops.reshape(x, (-1, 2, 6)),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 2), 2),
    "einsum": lambda x: ops.einsum("bij->bji", x),
    "flip": lambda x: ops.flip(x, 1),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "steps": lambda x: x[:, ::2],
    "repeat": lambda x: ops.repeat(x, 3, axis=2),
    "tile": lambda x: ops.tile(x, (1, 2, 1)),
    "take": lambda x: ops.take(x, [0, 0, 2], axis=1),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 2))),
    "pad by reflection": lambda x: ops.pad(x, ((0, 0), (2, 2), (0, 0)), mode="reflect"),
    "triangle": lambda x: ops.tril(x),
    "stack": lambda x: ops.stack([x, x, x], axis=1),
    "concatenate": lambda x: ops.concatenate([x, x], axis=1),
    "split": lambda x: ops.split(x, [1, 3], axis=2)[1],
    "sum": lambda x: ops.sum(x, axis=1),
    "sum of all": lambda x: ops.sum(x, axis=(1, 2)),
    "mean": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "negative": lambda x: -x,
    "times a number": lambda x: 3.0 * x / 2.0 - 1.0,
    "from a number": lambda x: 2.0 - x,
    "times an array": lambda x: x * table(x),
    "by an array": lambda x: x / table(x),
    "plus an array": lambda x: x + table(x),
    "times ones that repeat it": lambda x: x[:, :1] * ones(x),
    "permuted layer": lambda x: layers.Permute((2, 1), dtype=x.dtype)(x),
}


@pytest.mark.parametrize("case", LINEAR)
def test_linear_operations_have_the_norm_of_their_matrix(case):
    function = LINEAR[case]
    report = bound_of(function, SHAPE)
    assert report.certified
    expected = slope(function, [SHAPE], np.ones((1, 12)), step=1.0)
    np.testing.assert_allclose(report.bound, expected, rtol=1e-6)


# With a point at which the slope is as large as the constant, or near it.
CURVED = {
    "sin": (ops.sin, 0.0),
    "cos": (ops.cos, math.pi / 2),
    "arctan": (ops.arctan, 0.0),
    "arcsinh": (ops.arcsinh, 0.0),
    "erf": (ops.erf, 0.0),
    "abs": (ops.abs, 1.0),
    "clip": (lambda x: ops.clip(x, -1.0, 1.0), 0.0),
    "relu": (ops.relu, 1.0),
    "leaky_relu": (lambda x: ops.leaky_relu(x, negative_slope=3.0), -1.0),
    "relu of keras.activations": (lambda x: keras.activations.relu(x, negative_slope=0.5), 1.0),
    "elu": (lambda x: ops.elu(x, alpha=2.0), -1e-5),
    "gelu": (lambda x: ops.gelu(x, approximate=False), math.sqrt(2)),
    "silu": (ops.silu, 2.39936),
    "sigmoid": (ops.sigmoid, 0.0),
    "tanh": (ops.tanh, 0.0),
    "hard_sigmoid": (ops.hard_sigmoid, 0.0),
    "max": (lambda x: ops.max(x, axis=(1, 2)), None),
    "min": (lambda x: ops.min(x, axis=1), None),
    "norm": (lambda x: ops.norm(x, axis=2), 1.0),
    "log-softmax": (lambda x: ops.log_softmax(x, axis=-1), None),
    "softmax": (lambda x: ops.softmax(x, axis=-1), None),
    "maximum with a number": (lambda x: ops.maximum(x, 0.1), 1.0),
    "square of bounded": (lambda x: ops.square(ops.sigmoid(x)), None),
}


@pytest.mark.parametrize("case", CURVED)
def test_curved_operations_are_never_steeper(case):
    function, steepest = CURVED[case]
    report = bound_of(function, SHAPE)
    assert report.certified
    assert slope(function, [SHAPE], random_points([SHAPE])) <= report.bound * (1 + 2e-5)
    if steepest is not None:
        found = slope(function, [SHAPE], np.full((1, 12), steepest))
        np.testing.assert_allclose(found, report.bound, rtol=2e-4)


def flat_then_steep(x):
    """1 where the other factor is steep: the slope of the product is that of the other."""
    return ops.tanh(x + 30.0) * ops.sigmoid(100.0 * x)


def steep_then_flat(x):
    return ops.sigmoid(100.0 * x) * ops.tanh(x + 30.0)


def gated(x, y):
    """Squeeze and excite of bounded features: one gate for all positions of a channel."""
    return ops.tanh(x + 30.0) * ops.sigmoid(100.0 * y)[:, None, None, :]


PRODUCTS = {
    "flat and steep": (flat_then_steep, [(3,)], 26.0, 25.0),
    "steep and flat": (steep_then_flat, [(3,)], 26.0, 25.0),
    # The gate is repeated at 4·5 positions.
    "gate": (
        gated,
        [(4, 5, 2), (2,)],
        math.hypot(1.0, 25.0 * math.sqrt(20)) * math.sqrt(2),
        25.0 * math.sqrt(20),
    ),
    "three factors": (
        lambda x: ops.tanh(x) * ops.sigmoid(x) * ops.clip(x, -2.0, 3.0),
        [(3,)],
        # 3·(1 + 1/4) for the first two, and 1 for the last.
        3 * 1.25 + 1.0,
        0.0,
    ),
    "layers": (
        lambda x: layers.Multiply(dtype=x.dtype)(
            [
                layers.Activation("tanh", dtype=x.dtype)(x),
                layers.ReLU(6.0, dtype=x.dtype)(x),
            ]
        ),
        [(3,)],
        7.0,
        1.0,
    ),
    "hard sigmoid": (
        lambda x: ops.tanh(x) * (layers.ReLU(6.0, dtype=x.dtype)(x + 3.0) * (1.0 / 6.0)),
        [(3,)],
        1.0 + 1 / 6,
        0.0,
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_of_bounded_factors(case):
    function, shapes, limit, least = PRODUCTS[case]
    report = bound_of(function, *shapes)
    assert report.certified
    assert report.bound <= limit * (1 + 1e-5)
    size = sum(map(math.prod, shapes))
    points = [*random_points(shapes), *random_points(shapes, scale=0.1), np.zeros(size)]
    found = slope(function, shapes, points)
    assert least * (1 - 1e-3) <= found <= report.bound * (1 + 1e-6)


def test_a_gate_is_repeated_at_known_sizes_only():
    def gate(x):
        return ops.tanh(x) * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True))

    assert bound_of(gate, (None, None, 2)).bound == math.inf
    x = keras.Input((None, None, 2))
    here = lipschitz_bound(keras.Model(x, gate(x)), (4, 5, 2))
    assert here.certified
    found = slope(gate, [(4, 5, 2)], random_points([(4, 5, 2)], scale=0.1))
    assert found <= here.bound * (1 + 1e-6)


UNBOUNDED = {
    "swish by hand": lambda x: x * ops.sigmoid(x),
    "square": ops.square,
    "power": lambda x: x**2,
    "quotient": lambda x: 1.0 / x,
    "by zero": lambda x: x / np.array([1.0, 0.0, 1.0, 1.0], "float32"),
    "attention": lambda x: ops.matmul(ops.softmax(ops.matmul(x, ops.swapaxes(x, 1, 2))), x),
    "over the batch": lambda x: ops.mean(x, axis=0, keepdims=True),
    "over everything": lambda x: ops.sum(x),
    "rows as samples": lambda x: ops.reshape(x, (-1, 4)),
    "batches joined": lambda x: ops.concatenate([x, x], axis=0),
    "first samples": lambda x: x[:1, :],
    "backwards": lambda x: ops.flip(x, 0),
    "choice": lambda x: ops.where(x > 0, x, -x),
    "rounded": lambda x: ops.cast(ops.cast(x, "int32"), "float32"),
    "exponential": ops.exp,
}


@pytest.mark.parametrize("case", UNBOUNDED)
def test_no_constant_where_there_is_none(case):
    report = bound_of(UNBOUNDED[case], SHAPE)
    assert report.bound == math.inf
    assert all(layer.reason for layer in report.layers if not layer.certified)


def test_what_is_computed_of_a_constant_is_constant():
    """Also behind a layer without a bound, and where 0 meets infinity."""
    x = keras.Input((3,))
    zero = layers.Dense(3, kernel_initializer="zeros")
    after = keras.Model(x, zero(layers.UnitNormalization()(x)))
    before = keras.Model(x, layers.UnitNormalization()(zero(x)))
    factor = keras.Model(x, ops.sigmoid(zero(x)) * x)
    assert lipschitz_bound(after).bound == 0.0
    assert lipschitz_bound(before).bound == 0.0
    assert lipschitz_bound(factor).bound == 1.0
