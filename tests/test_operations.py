"""Operations that PyTorch has instead of those of Keras: the same results, and no more work."""

import keras
import numpy as np
import pytest

from tfspecnorm import norms
from tfspecnorm._backend.operations import constant, ops

only_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="elsewhere they are those of Keras"
)

RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.standard_normal((4, 3)).astype("float32")
STACK = RANDOM.standard_normal((2, 4, 3)).astype("float32")
VECTOR = RANDOM.standard_normal(6).astype("float32")
OWNERS = np.array([0, 0, 2, 2, 2, 1], "int32")
CALLS = {
    "abs": (MATRIX,),
    "cast": (MATRIX, "float64"),
    "concatenate": ([STACK, STACK], 1),
    "copy": (MATRIX,),
    "equal": (MATRIX, np.round(MATRIX)),
    "expand_dims": (MATRIX, -2),
    "logical_not": (MATRIX > 0,),
    "matmul": (STACK, MATRIX.T),
    "max": (STACK, (0, 2)),
    "min": (STACK, 1),
    "reciprocal": (MATRIX,),
    "reshape": (STACK, [6, -1]),
    "rsqrt": (np.abs(MATRIX),),
    "segment_max": (VECTOR, OWNERS, 3),
    "segment_sum": (VECTOR, OWNERS, 3),
    "split": (STACK, [1, 3], 1),
    "sqrt": (np.abs(MATRIX),),
    "square": (MATRIX,),
    "squeeze": (STACK[:1], 0),
    "stack": ([MATRIX, MATRIX], -1),
    "stop_gradient": (MATRIX,),
    "sum": (STACK, (1, 2)),
    "take": (STACK, np.array([3, 0]), 1),
    "top_k": (VECTOR, 2),
    "transpose": (STACK, (2, 0, 1)),
    "where": (MATRIX > 0, 1.0, MATRIX),
    "zeros_like": (MATRIX,),
}
VARIANTS = {
    "max of all": ("max", (STACK,), {}),
    "min of all": ("min", (STACK,), {}),
    "sum of all": ("sum", (STACK,), {}),
    "max, axes kept": ("max", (STACK, -1), {"keepdims": True}),
    "sum, axes kept": ("sum", (STACK, 0), {"keepdims": True}),
    "max of what is not a number": ("max", (np.array([1.0, np.nan], "float32"),), {}),
    "reshape to a vector": ("reshape", (STACK, -1), {}),
    "reshape to a number": ("reshape", (VECTOR[:1], ()), {}),
    "take a table": ("take", (STACK, np.array([[3, 0], [1, 2]]), 1), {}),
    "where, two tensors": ("where", (VECTOR > 0, VECTOR, np.zeros(6, "float32")), {}),
    "whole numbers": ("segment_max", (-np.arange(6, dtype="int32"), OWNERS, 3), {}),
} | {name: (name, arguments, {}) for name, arguments in CALLS.items()}


def arrays_of(found):
    parts = found if isinstance(found, (list, tuple)) else [found]
    return [keras.ops.convert_to_numpy(part) for part in parts]


@only_torch
@pytest.mark.parametrize("of_tensors", [True, False], ids=["tensors", "arrays"])
@pytest.mark.parametrize("case", VARIANTS)
def test_the_result_is_that_of_keras(case, of_tensors):
    name, arguments, options = VARIANTS[case]
    tensors = keras.tree.map_structure(
        lambda part: keras.ops.convert_to_tensor(part) if hasattr(part, "shape") else part,
        arguments,
    )
    wanted = arrays_of(getattr(keras.ops, name)(*tensors, **options))
    found = arrays_of(getattr(ops, name)(*(tensors if of_tensors else arguments), **options))
    assert len(found) == len(wanted)
    for part, other in zip(found, wanted, strict=True):
        assert part.dtype.kind == other.dtype.kind
        np.testing.assert_allclose(part, other, rtol=1e-6)


@only_torch
def test_every_operation_is_compared():
    own = {name for name, value in vars(ops).items() if callable(value) and name[0] != "_"}
    assert own & set(dir(keras.ops)) == set(CALLS)


@only_torch
@pytest.mark.parametrize("name", ["matmul", "segment_max", "segment_sum", "sum"])
def test_64_bits_stay(name):
    arguments = [
        part.astype("float64") if getattr(part, "dtype", None) == "float32" else part
        for part in CALLS[name]
    ]
    assert keras.backend.standardize_dtype(getattr(ops, name)(*arguments).dtype) == "float64"


def test_other_operations_are_those_of_keras():
    assert ops.tanh is keras.ops.tanh


def test_constant_has_the_entries_of_its_table_in_the_shape_that_is_wanted():
    table = np.arange(6, dtype="float32")
    like = keras.ops.zeros(())
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(constant(table, like)), table)
    found = keras.ops.convert_to_numpy(constant(table, like, (2, 1, 3)))
    np.testing.assert_array_equal(found, table.reshape(2, 1, 3))


@only_torch
def test_table_becomes_a_tensor_once_for_each_device():
    table = np.arange(6, dtype="float32")
    like = keras.ops.zeros(())
    assert constant(table, like) is constant(table, like)
    assert constant(table.copy(), like) is not constant(table, like)
    elsewhere = constant(table, like.to("meta"))
    assert elsewhere.device.type == "meta"
    assert constant(table, like).device.type == like.device.type


@only_torch
def test_table_of_the_inference_mode_serves_in_training():
    import torch

    table = np.arange(6, dtype="float32")
    with torch.inference_mode():
        constant(table, torch.zeros(()))
    factor = torch.ones(6, requires_grad=True)
    torch.sum(factor * constant(table, torch.zeros(()))).backward()
    np.testing.assert_array_equal(factor.grad, table)


@only_torch
@pytest.mark.parametrize("norm", [norms.Matrix(), norms.Fourier(), norms.Gram(2)])
@pytest.mark.parametrize("kind", ["convolution", "depthwise_convolution"])
def test_norms_compute_on_the_device_that_keras_uses(norm, kind):
    shape = (3, 3, 4, 1) if kind == "depthwise_convolution" else (3, 3, 2, 4)
    linear_map = getattr(norms, kind)(shape, norms.window(2, input_size=8))
    kernel = keras.ops.ones(shape)
    state = {name: keras.ops.ones(size) for name, size in norm.state_shapes(linear_map).items()}
    with keras.device("meta"):
        found = norms.measure_together([norms.Task(norm, kernel, state, linear_map, 1)] * 2)
    assert {measured.sigma.device.type for measured in found} == {"meta"}


@only_torch
def test_table_that_an_export_traces_is_not_kept():
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    table = np.arange(6, dtype="float32")
    with FakeTensorMode():
        constant(table, torch.zeros(()))
    assert type(constant(table, keras.ops.zeros(()))) is torch.Tensor
