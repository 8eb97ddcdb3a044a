"""The spectral report against decompositions, and what it says of wrappers and sizes."""

import json
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import norms, spectral_report
from tfspecnorm.layers import BidirectionalSpectralNorm, SpectralNorm, WeightNorm


def model_of(*parts, shape=(8, 8, 2)):
    return keras.Sequential([keras.Input(shape), *parts])


def dense_norm(layer, shape):
    count = int(np.prod(shape))
    outputs = tools.array(layer(np.eye(count, dtype="float32").reshape(count, *shape)))
    return tools.largest_singular_value(outputs.reshape(count, -1))


def test_plain_layers():
    options = {"padding": "same", "use_bias": False}
    model = model_of(
        layers.Conv2D(4, 3, strides=2, name="first", **options),
        layers.SeparableConv2D(3, 3, name="second", **options),
        layers.Flatten(),
        layers.Dense(5, name="third", use_bias=False),
    )
    report = spectral_report(model)
    names = [(record.layer, record.kernel) for record in report]
    assert names == [
        ("first", "kernel"),
        ("second", "depthwise_kernel"),
        ("second", "pointwise_kernel"),
        ("third", "kernel"),
    ]
    first, depthwise, pointwise, third = report
    kernel = tools.array(model.layers[0].kernel).astype("float64")
    exact = dense_norm(model.layers[0], (8, 8, 2))
    np.testing.assert_allclose(first.operator_norm, exact, rtol=1e-5)
    np.testing.assert_allclose(
        first.matrix_norm, tools.largest_singular_value(kernel.reshape(18, 4)), rtol=1e-6
    )
    assert exact * (1 - 1e-6) <= first.certified_bound <= 1.2 * exact
    assert first.input_size == (8, 8)
    assert depthwise.input_size == (4, 4)
    assert (first.parameters, first.shape, first.kind) == (72, (3, 3, 2, 4), "convolution")
    rank = np.sum(kernel**2) / first.matrix_norm**2
    np.testing.assert_allclose(first.stable_rank, rank, rtol=1e-6)
    assert first.normalization is first.sigma is first.covered is None
    pointwise_exact = tools.largest_singular_value(
        tools.array(model.layers[1].pointwise_kernel)[0, 0]
    )
    np.testing.assert_allclose(pointwise.operator_norm, pointwise_exact, rtol=1e-6)
    assert third.operator_guarantee == norms.EXACT
    np.testing.assert_allclose(third.matrix_norm, third.operator_norm, rtol=1e-6)


def test_wrapped_layers():
    convolution = SpectralNorm(layers.Conv2D(4, 3, name="first"), norm="operator")
    model = model_of(
        convolution,
        layers.Flatten(),
        WeightNorm(layers.Dense(3, name="second")),
        BidirectionalSpectralNorm(layers.Dense(3, name="third")),
    )
    first, second, third = spectral_report(model)
    assert [record.layer for record in (first, second, third)] == ["first", "second", "third"]
    assert first.normalization.startswith("SpectralNorm(Operator(")
    assert second.normalization == "WeightNorm"
    assert third.normalization == "BidirectionalSpectralNorm(Bidirectional())"
    np.testing.assert_allclose(first.operator_norm, 1.0, rtol=1e-4)
    np.testing.assert_allclose(first.sigma, tools.array(convolution.sigma()["kernel"]), rtol=1e-6)
    assert first.covered


def test_larger_inputs_than_the_norm_was_built_for_are_not_covered():
    norm = norms.Operator(input_size=(6, 6))
    wrapped = SpectralNorm(layers.Conv2D(3, 3, padding="same"), norm=norm)
    model = model_of(wrapped, shape=(None, None, 2))
    for size, covered in ((6, True), (5, True), (7, False)):
        (record,) = spectral_report(model, (size, size, 2))
        assert record.covered is covered
        assert record.input_size == (size, size)
        assert record.operator_norm is not None
    (record,) = spectral_report(model)
    assert record.covered is False
    assert record.operator_norm is None
    assert record.certified_bound >= 1.0


def test_nested_shared_and_subclassed():
    inner = model_of(layers.Conv2D(2, 3, padding="same", name="shared"))
    x = keras.Input((8, 8, 2))
    report = spectral_report(keras.Model(x, inner(inner(x))))
    assert [record.layer for record in report] == [f"{inner.name}/shared"]

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inside = layers.Dense(3, name="inside")

        def call(self, inputs):
            return self.inside(inputs)

    model = Own()
    model(np.ones((1, 4), "float32"))
    assert [record.layer for record in spectral_report(model)] == ["inside"]
    with pytest.raises(ValueError, match="Argument `input_shape` must be `None`"):
        spectral_report(model, (4,))


def test_layers_of_every_kind():
    x = keras.Input((5, 4))
    y = layers.MultiHeadAttention(2, 3)(x, x)
    y = layers.Bidirectional(layers.LSTM(2))(y)
    report = spectral_report(keras.Model(x, y))
    assert len(report) == 8
    assert all(np.isfinite(record.certified_bound) for record in report)


def test_large_convolutions_are_estimated_or_bounded():
    small = model_of(layers.Conv2D(24, 3, padding="same"), shape=(16, 16, 24))
    (record,) = spectral_report(small)
    exact = norms.exact(
        tools.array(small.layers[0].kernel),
        norms.convolution((3, 3, 24, 24), norms.window(2, input_size=16)),
    ).value
    assert record.operator_guarantee == norms.ESTIMATE
    assert exact * 0.995 <= record.operator_norm <= exact * (1 + 1e-6)
    (record,) = spectral_report(model_of(layers.Conv2D(8, 3), shape=(1600, 1600, 8)))
    assert record.operator_norm is record.operator_guarantee is None
    assert record.certified_bound >= record.matrix_norm


def test_as_data_table_and_picture(tmp_path, capsys):
    report = spectral_report(model_of(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)))
    stored = json.loads(report.to_json())
    assert [row["layer"] for row in stored["kernels"]] == [record.layer for record in report]
    assert report.to_dicts()[0]["parameters"] == 72
    console = pytest.importorskip("rich.console").Console(width=160)
    console.print(report.table())
    printed = capsys.readouterr().out
    assert "certified bound" in printed
    assert report[0].layer in printed
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "norms.png")
    assert (tmp_path / "norms.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OSError, match="missing"):
        report.plot(tmp_path / "missing" / "norms.png")
    assert [path.name for path in tmp_path.iterdir()] == ["norms.png"]


def test_missing_package_says_what_to_install(monkeypatch):
    report = spectral_report(model_of(layers.Dense(2)))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_pandas()


def test_bad_models():
    message = "Argument `model` must have at least one matrix"
    with pytest.raises(ValueError, match=message):
        spectral_report(model_of(layers.ReLU()))
    with pytest.raises(ValueError, match="Argument `model` must be built"):
        spectral_report(keras.Sequential([layers.Dense(2)]))
    model = model_of(layers.Dense(2, name="broken"))
    model.layers[0].kernel.assign(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="finite weights.*'broken'"):
        spectral_report(model)
    assert tfspecnorm.spectral_report is spectral_report
