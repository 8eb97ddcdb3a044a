import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import norms
from tfspecnorm.norms import Bidirectional, LinearMap, Matrix

KERNEL = tools.random(3, 2, 4, 5)
LINEAR_MAP = LinearMap("convolution", KERNEL.shape, (3,))


def test_state_of_both_sides():
    assert Bidirectional().state_shapes(LINEAR_MAP) == {
        "vector_u": (5,),
        "vector_v": (24,),
        "adjoint_vector_u": (4,),
        "adjoint_vector_v": (30,),
    }
    assert set(Bidirectional().state_shapes(LinearMap("dense", (4, 5), (1,)))) == {
        "vector_u",
        "vector_v",
    }


def test_adjoint_exchanges_inputs_and_outputs():
    adjoint = LINEAR_MAP.adjoint
    assert adjoint.kind == "transposed_convolution"
    assert adjoint.matrix_shape == (30, 4)
    np.testing.assert_array_equal(adjoint.matrix(KERNEL, np), tools.matrix_of(KERNEL, 2))
    assert adjoint.adjoint == LINEAR_MAP
    grouped = LinearMap("convolution", (3, 3, 2, 6), (4,), (3,), (3, 3, 2, 3, 2))
    assert grouped.adjoint.matrix_shape == (3, 18, 2)


@pytest.mark.parametrize(("shape", "fans"), [((3, 2, 4, 5), (4, 5)), ((1, 1, 4, 5), (4, 5))])
def test_fans_leave_the_taps_out(shape, fans):
    linear_map = LinearMap("convolution", shape, (3,))
    assert linear_map.fans == fans
    assert linear_map.taps == shape[0] * shape[1]


def test_directions_add_up_to_the_gradient():
    """The gradient is homogeneous of degree 0: its product with the kernel is the norm."""
    state = Bidirectional().initial_state(KERNEL, LINEAR_MAP)
    state = {name: ops.convert_to_tensor(part.astype("float32")) for name, part in state.items()}
    measured = Bidirectional()(KERNEL, state, LINEAR_MAP)
    total = sum(tools.array(part.kernel(*part.factors)) for part in measured.direction)
    np.testing.assert_allclose(np.sum(total * KERNEL), tools.array(measured.sigma), rtol=1e-5)
    expected = 0.5 * sum(
        tools.largest_singular_value(tools.matrix_of(KERNEL, axis)) for axis in (2, 3)
    )
    np.testing.assert_allclose(tools.array(measured.sigma), expected, rtol=1e-5)


def test_search_finds_the_norm():
    kernel = ops.convert_to_tensor(KERNEL)
    state = Bidirectional().search(kernel, LINEAR_MAP)
    exact = Bidirectional()(
        KERNEL, Bidirectional().initial_state(KERNEL, LINEAR_MAP), LINEAR_MAP
    ).sigma
    sigma = Bidirectional()(kernel, state, LINEAR_MAP).sigma
    np.testing.assert_allclose(tools.array(sigma), tools.array(exact), rtol=1e-5)


def test_by_name():
    assert norms.get("bidirectional") == Bidirectional()
    assert Bidirectional() != Matrix()
