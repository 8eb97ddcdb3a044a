import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import norms
from tfspecnorm.norms import LinearMap, Matrix, _leading_vectors
from tfspecnorm.norms._leading_vectors import lanczos, leading_singular_vectors


@pytest.fixture(params=[0, 2**20], ids=["iteration", "Gram matrix"])
def each_way(request, monkeypatch):
    monkeypatch.setattr(_leading_vectors, "_DIRECT_SIZE", request.param)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (1, 1), (200, 100), (70, 900), (4, 9, 2)])
def test_leading_vectors_against_svd(shape):
    matrix = tools.random(*shape, dtype="float64")
    left, value, right = leading_singular_vectors(matrix)
    exact = np.linalg.svd(matrix, compute_uv=False)[..., 0]
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    product = np.einsum("...i,...io,...o->...", left, matrix, right)
    np.testing.assert_allclose(product, exact, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(left, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(right, axis=-1), 1, rtol=1e-6)


@pytest.mark.usefixtures("each_way")
def test_leading_vectors_of_nearly_equal_singular_values():
    """Powers of the Gram matrix end before they tell these apart; no matter which one it is."""
    values = np.concatenate([[1.0, 1 - 1e-7, 1 - 1e-9], np.linspace(0.5, 0.1, 27)])
    left = np.linalg.qr(tools.random(40, 30, dtype="float64"))[0]
    right = np.linalg.qr(tools.random(30, 30, seed=1, dtype="float64"))[0]
    matrix = left * values @ right
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose(value, 1.0, rtol=2e-7)
    np.testing.assert_allclose(matrix @ right, value * left, atol=1e-6)
    np.testing.assert_allclose(left @ matrix, value * right, atol=1e-6)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("matrix", [np.eye(6), np.diag([3.0, 3.0, 1.0]), np.ones((5, 4))])
def test_leading_vectors_of_orthogonal_and_diagonal_matrices(matrix):
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose(value, np.linalg.norm(matrix, 2), rtol=1e-12)
    np.testing.assert_allclose(matrix @ right, value * left, atol=1e-7)


@pytest.mark.parametrize("size", [8, 100])
def test_vectors_that_start_from_an_identity_follow_each_of_its_entries(size):
    """A unit vector of one entry is where power iteration on a diagonal kernel would stay."""
    norm, linear_map = Matrix(), LinearMap("dense", (size, size), (1,))
    state = norm.initial_state(np.eye(size, dtype="float32"), linear_map)
    state = {name: ops.cast(value, "float32") for name, value in state.items()}
    for entry in (0, size // 2, size - 1):
        diagonal = np.ones(size, "float32")
        diagonal[entry] = 2.0
        kernel = ops.convert_to_tensor(np.diag(diagonal))
        sigma, *_ = norm(kernel, state, linear_map, 30)
        np.testing.assert_allclose(tools.array(sigma), 2.0, rtol=1e-4)


def test_one_zero_matrix_in_a_stack_leaves_the_others_alone():
    stack = tools.random(3, 5, 4, dtype="float64") * np.array([1.0, 0.0, 1e-20])[:, None, None]
    left, value, right = leading_singular_vectors(stack)
    exact = np.linalg.svd(stack, compute_uv=False)[..., 0]
    np.testing.assert_allclose(value, exact, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(left, axis=-1), 1.0)
    np.testing.assert_allclose(np.linalg.norm(right, axis=-1), 1.0)


def test_leading_vectors_of_the_default_sizes_against_svd():
    sizes = _leading_vectors._DIRECT_SIZE, _leading_vectors._DIRECT_SIZE + 1
    for size in sizes:
        matrix = tools.random(600, size, seed=size)
        _, value, _ = leading_singular_vectors(matrix)
        np.testing.assert_allclose(value, tools.largest_singular_value(matrix), rtol=1e-6)


@pytest.mark.usefixtures("each_way")
def test_leading_vectors_of_large_matrices_in_single_precision(monkeypatch):
    monkeypatch.setattr(_leading_vectors, "_LARGE", 1000)
    matrix = tools.random(5000, 60)
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose(value, tools.largest_singular_value(matrix), rtol=1e-6)
    np.testing.assert_allclose(matrix @ right, value * left, atol=1e-5 * value)
    np.testing.assert_allclose(left @ matrix, value * right, atol=1e-5 * value)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("shape", [(4608, 256), (2000, 80), (80, 2000)])
def test_leading_vectors_where_all_singular_values_are_alike(shape):
    """An iteration that loses orthogonality gives vectors that are no units."""
    matrix = tools.random(*shape, seed=1)
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose([np.linalg.norm(left), np.linalg.norm(right)], 1.0, rtol=1e-6)
    np.testing.assert_allclose(value, tools.largest_singular_value(matrix), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (3, 200), (200, 3), (150, 400)])
def test_lanczos_ends_with_all_of_the_smaller_side(shape):
    matrix = tools.random(*shape, dtype="float64")
    left, value, right = lanczos(lambda x: matrix @ x, lambda y: y @ matrix, shape)
    np.testing.assert_allclose(value, tools.largest_singular_value(matrix), rtol=1e-9)
    np.testing.assert_allclose(matrix @ right, value * left, atol=1e-5 * value)


def test_lanczos_goes_on_when_its_basis_is_full(monkeypatch):
    monkeypatch.setattr(_leading_vectors, "_BASIS", 20)
    values = np.concatenate([[1.0, 0.999], np.linspace(0.99, 0.1, 298)])
    left = np.linalg.qr(tools.random(400, 300, dtype="float64"))[0]
    matrix = left * values @ np.linalg.qr(tools.random(300, 300, seed=1, dtype="float64"))[0]
    _, value, _ = lanczos(lambda x: matrix @ x, lambda y: y @ matrix, matrix.shape)
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)


@pytest.mark.usefixtures("each_way")
def test_leading_vectors_with_a_narrow_gap():
    values = np.concatenate([[1.0, 0.9999], np.linspace(0.9, 0.1, 148)])
    left = np.linalg.qr(tools.random(300, 150, dtype="float64"))[0]
    right = np.linalg.qr(tools.random(150, 150, seed=1, dtype="float64"))[0]
    _, value, _ = leading_singular_vectors(left * values @ right)
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(6, 4), (100, 80)])
def test_leading_vectors_of_extreme_matrices_are_unit(factor, shape):
    with np.errstate(invalid="ignore"):
        matrix = (tools.random(*shape) * factor).astype("float32")
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose(np.linalg.norm(left), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(right), 1, rtol=1e-5)
    if factor in (1e-30, 1e30):
        expected = tools.largest_singular_value(matrix / np.float32(factor))
        np.testing.assert_allclose(value / factor, expected, rtol=1e-5)
    else:
        assert value == 0.0


@pytest.mark.usefixtures("each_way")
def test_low_rank_matrix_ends_the_iteration():
    matrix = np.outer(tools.random(100), tools.random(90, seed=1))
    _, value, _ = leading_singular_vectors(matrix)
    np.testing.assert_allclose(value, np.linalg.norm(matrix), rtol=1e-6)


def test_power_iteration_converges_to_the_diagonal_entry():
    linear_map = LinearMap("dense", (3, 3), (1,))
    kernel = np.diag([3.0, 2.0, 1.0]).astype("float32")
    constant = np.full(3, 3**-0.5, "float32")
    state = {"vector_u": constant, "vector_v": constant}
    state = {name: ops.convert_to_tensor(value) for name, value in state.items()}
    sigma, state, *_ = Matrix()(ops.convert_to_tensor(kernel), state, linear_map, 20)
    np.testing.assert_allclose(tools.array(sigma), 3.0, rtol=1e-6)
    np.testing.assert_allclose(np.abs(tools.array(state["vector_u"])), [1, 0, 0], atol=1e-3)


def test_several_iterations_equal_repeated_ones():
    linear_map = LinearMap("dense", (8, 6), (1,))
    kernel = ops.convert_to_tensor(tools.random(8, 6))
    start = {"vector_u": tools.random(6, seed=1), "vector_v": tools.random(8, seed=2)}
    start = {
        name: ops.convert_to_tensor(value / np.linalg.norm(value)) for name, value in start.items()
    }
    at_once = Matrix()(kernel, start, linear_map, 3)
    state = start
    for _ in range(3):
        state = Matrix()(kernel, state, linear_map, 1).state
    for name, value in at_once.state.items():
        np.testing.assert_allclose(tools.array(value), tools.array(state[name]), atol=1e-6)


def test_evaluation_keeps_vector_u():
    linear_map = LinearMap("dense", (8, 6), (1,))
    kernel = ops.convert_to_tensor(tools.random(8, 6))
    state = {"vector_u": tools.random(6, seed=1), "vector_v": tools.random(8, seed=2)}
    state["vector_u"] /= np.linalg.norm(state["vector_u"])
    state = {name: ops.convert_to_tensor(value) for name, value in state.items()}
    sigma, after, *_ = Matrix()(kernel, state, linear_map)
    expected = np.linalg.norm(tools.random(8, 6) @ tools.array(state["vector_u"]))
    np.testing.assert_allclose(tools.array(sigma), expected, rtol=1e-6)
    np.testing.assert_array_equal(tools.array(after["vector_u"]), tools.array(state["vector_u"]))


def test_search_finds_the_norm():
    linear_map = LinearMap("dense", (60, 50), (1,))
    kernel = tools.random(60, 50)
    tensor = ops.convert_to_tensor(kernel)
    sigma = Matrix()(tensor, Matrix().search(tensor, linear_map), linear_map).sigma
    np.testing.assert_allclose(tools.array(sigma), tools.largest_singular_value(kernel), rtol=1e-5)


def test_names_objects_and_serialized_forms():
    assert norms.get("matrix") == Matrix()
    assert norms.get(Matrix()) == Matrix()
    assert hash(Matrix()) == hash(Matrix())
    import keras

    assert norms.get(keras.saving.serialize_keras_object(Matrix())) == Matrix()


@pytest.mark.parametrize("identifier", ["frobenius", 3, None, object()])
def test_unknown_norm(identifier):
    with pytest.raises(ValueError, match=r'Argument `norm` must be .*"matrix".*Received: norm='):
        norms.get(identifier)
