"""Reports and bounds of every model that Keras accepts: no failure, no matrix without a row."""

import json
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from keras import layers, ops

from tests.analysis.models import MODELS, Projected
from tests.surgery.blocks import MODELS as BLOCKS
from tests.test_random_models import Builder, plans, random_plans
from tfspecnorm import lipschitz_bound, spectral_report
from tfspecnorm.layers import SpectralNorm

EVERY = {**MODELS, **BLOCKS}


def matrices(model):
    """Weights of two axes and more that are neither a bias nor a table of a normalization."""
    found = {id(v): v for v in model.trainable_weights if len(v.shape) > 1 and v.name != "bias"}
    return list(found.values())


@pytest.mark.parametrize("case", EVERY)
def test_no_model_fails(case):
    model = EVERY[case]()
    bound = lipschitz_bound(model)
    assert bound.bound >= 0
    lost = [layer for layer in bound.layers if not layer.certified]
    assert bound.certified == math.isfinite(bound.bound) == (not lost)
    for layer in lost:
        assert layer.reason
        assert f"({layer.layer}): {layer.reason}." in str(bound)
    if not matrices(model):
        return
    report = spectral_report(model)
    stored = json.loads(report.to_json())["kernels"]
    assert len(stored) == len(report)
    assert len(str(report).splitlines()) == len(report) + 3
    for record in report:
        measured = [record.matrix_norm, record.certified_bound, record.stable_rank]
        assert all((number is None) == (record.reason is not None) for number in measured)
    trained = sum(math.prod(matrix.shape) for matrix in matrices(model))
    # What is not trained stands beside it: kernels under LoRA, vectors of Keras' own wrapper.
    assert sum(record.parameters for record in report) >= trained


@pytest.mark.parametrize("case", BLOCKS)
def test_each_matrix_in_layers_that_hold_layers_has_one_row(case):
    model = BLOCKS[case]()
    report = spectral_report(model)
    shapes = sorted(tuple(matrix.shape) for matrix in matrices(model))
    assert sorted(record.shape for record in report) == shapes
    assert len({(record.layer, record.kernel) for record in report}) == len(report)


def test_paths_lead_to_the_layers():
    model = BLOCKS["listed"]()
    name = model.layers[-1].name
    assert [record.layer for record in spectral_report(model)][:3] == [
        f"{name}/stack/0",
        f"{name}/stack/1",
        f"{name}/stack/2/_attention",
    ]
    report = spectral_report(BLOCKS["classifier"]())
    (positions,) = report.unsized
    assert positions.layer.endswith("/token_embedding")
    assert (positions.kernel, positions.shape) == ("embeddings", (6, 8))
    assert positions.reason == "no description: see tfspecnorm.kernels.register"
    assert "1 not measured" in str(report)


def test_a_matrix_of_the_model_itself_and_one_that_is_shared():
    model = MODELS["own with dicts"]()
    assert {(record.layer, record.kernel) for record in spectral_report(model)} == {
        (model.name, "token"),
        (model.dense.name, "kernel"),
    }
    inputs = keras.Input((3,))
    projected = Projected()
    inner = keras.Model(inputs, projected(inputs))
    twice = keras.Model(inputs, [inner(inputs), projected(2 * inputs)])
    assert [record.kernel for record in spectral_report(twice)] == ["matrix"]


def test_layers_inside_of_a_layer_have_the_size_that_they_were_built_for():
    records = spectral_report(BLOCKS["causal"]())
    # The last one has a single tap, and is a matrix at every size.
    assert [record.input_size for record in records] == [(7,), (7,), None]


@settings(random_plans, max_examples=15)
@given(plans())
def test_rows_are_the_matrices_of_random_models(plan):
    keras.utils.clear_session()
    model = Builder(plan).model()
    report = spectral_report(model)
    assert report.unsized == []
    shapes = sorted(tuple(matrix.shape) for matrix in matrices(model))
    assert sorted(record.shape for record in report) == shapes


def test_smallest_singular_values():
    """Against LAPACK, also of blocks, of wide matrices and of what a wrapper computes with."""
    wrapped = SpectralNorm(layers.Dense(7))
    x = inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, groups=2)(x)
    x = layers.Dense(9)(layers.DepthwiseConv2D(3)(x))
    model = keras.Model(inputs, wrapped(layers.GlobalAveragePooling2D()(x)))
    grouped, depthwise, wide, effective = spectral_report(model)
    kernels = [ops.convert_to_numpy(weight).astype("float64") for weight in matrices(model)]
    blocks = kernels[0].reshape(9 * 2, 2, 3).swapaxes(0, 1)
    values = np.linalg.svd(blocks, compute_uv=False)
    np.testing.assert_allclose(grouped.smallest_singular_value, values.min(), rtol=1e-6)
    np.testing.assert_allclose(grouped.condition_number, values.max() / values.min(), rtol=1e-6)
    lengths = np.linalg.norm(kernels[1].reshape(9, 6), axis=0)
    np.testing.assert_allclose(depthwise.smallest_singular_value, lengths.min(), rtol=1e-6)
    values = np.linalg.svd(kernels[2], compute_uv=False)
    np.testing.assert_allclose(wide.smallest_singular_value, values[-1], rtol=1e-6)
    values = np.linalg.svd(kernels[3], compute_uv=False)
    np.testing.assert_allclose(effective.smallest_singular_value, values[-1] / values[0], rtol=1e-4)


def test_singular_and_large_matrices():
    model = keras.Sequential(
        [keras.Input((300,)), layers.Dense(300, name="large"), layers.Dense(2, name="singular")]
    )
    large, singular = model.layers
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((300, 300)))[0]
    large.kernel.assign(orthogonal * np.linspace(0.5, 2.0, 300))
    singular.kernel.assign(np.zeros((300, 2)))
    first, second = spectral_report(model)
    np.testing.assert_allclose(first.smallest_singular_value, 0.5, rtol=1e-5)
    np.testing.assert_allclose(first.condition_number, 4.0, rtol=1e-5)
    assert (second.smallest_singular_value, second.condition_number) == (0.0, math.inf)
    assert json.loads(spectral_report(model).to_json())["kernels"][1]["condition_number"] is None
    large.kernel.assign(orthogonal * np.geomspace(1e-9, 1.0, 300))
    first, _ = spectral_report(model)
    # The Gram matrix does not resolve it.
    assert first.smallest_singular_value is first.condition_number is None
