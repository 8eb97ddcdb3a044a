"""The contract of norms: what a norm of one's own gets, and what it may rely on."""

import contextlib
import copy
import dataclasses
import io
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import tfspecnorm
from tests import tools
from tfspecnorm import layers, norms

DENSE = norms.dense((6, 4))
DEPTHWISE = norms.depthwise_convolution((3, 3, 5, 1), norms.window(2, input_size=9))


@keras.saving.register_keras_serializable("tests")
class Frobenius(norms.Norm):
    def guarantee(self, linear_map):
        return norms.ESTIMATE if linear_map.convolves else norms.UPPER_BOUND

    def converged(self, kernel, linear_map):
        return float(np.linalg.norm(kernel))

    def measure(self, task):
        return norms.Measurement(ops.sqrt(ops.sum(ops.square(task.kernel))), task.state)


class Doubled(norms.Matrix):
    def measure(self, task):
        measured = super().measure(task)
        return measured._replace(sigma=2.0 * measured.sigma)


class Batched(Doubled):
    @staticmethod
    def measure_many(tasks):
        return ["together"] * len(tasks)


class Halving:
    def measure(self, task):
        measured = super().measure(task)
        return measured._replace(sigma=0.5 * measured.sigma)


class Halved(Halving, norms.Matrix):
    pass


class Named(norms.Matrix):
    def guarantee(self, linear_map):
        return "mine"


def tasks(norm, count=3, linear_map=DENSE):
    kernels = [tools.random(*linear_map.kernel_shape, seed=seed) for seed in range(count)]
    states = [norm.initial_state(kernel, linear_map) for kernel in kernels]
    return [
        norms.Task(
            norm,
            ops.convert_to_tensor(kernel, "float32"),
            {name: ops.convert_to_tensor(part, "float32") for name, part in state.items()},
            linear_map,
        )
        for kernel, state in zip(kernels, states, strict=True)
    ]


@pytest.mark.parametrize(
    "norm, factor", [(Doubled(), 2.0), (Halved(), 0.5), (Named(), 1.0), (norms.Matrix(), 1.0)]
)
def test_who_measures_in_a_way_of_its_own_is_asked(norm, factor):
    given = tasks(norm)
    expected = [factor * np.linalg.norm(tools.array(task.kernel), 2) for task in given]
    found = [tools.array(measured.sigma) for measured in norms.measure_together(given)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_is_measured_at_once():
    assert Named.measure_many is norms.Matrix.measure_many
    assert Doubled.measure_many is not norms.Matrix.measure_many
    assert Halved.measure_many is not norms.Matrix.measure_many
    assert norms.measure_together(tasks(Batched())) == ["together"] * 3


def test_norms_of_all_kinds_keep_their_order():
    given = [
        task
        for norm in (norms.Matrix(), Frobenius(), norms.Bidirectional(), norms.Fourier())
        for task in tasks(norm, 2, DEPTHWISE)
    ]
    given = given[::2] + given[1::2]
    together = [tools.array(measured.sigma) for measured in norms.measure_together(given)]
    alone = [tools.array(task.alone().sigma) for task in given]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_norm_of_ones_own_trains_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    inner = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((4,)), layers.SpectralNorm(inner, norm=Frobenius())])
    model.compile("sgd", "mse")
    inputs = tools.random(8, 4)
    model.fit(inputs, np.ones((8, 3)), verbose=0)
    (kernel,) = model.layers[0].effective_kernels().values()
    np.testing.assert_allclose(np.linalg.norm(tools.array(kernel)), 1.0, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    assert loaded.layers[0].norm == {"kernel": Frobenius()}
    assert pickle.loads(pickle.dumps(norms.Gram(3))) == norms.Gram(3)


def test_the_norm_of_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "norms.md"
    section = page.read_text(encoding="utf-8").partition("## A norm of your own\n")[2]
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(section.partition("```python\n")[2].partition("```")[0], names)
    assert float(printed.getvalue()) == pytest.approx(1.0, rel=1e-5)
    model = keras.Sequential([keras.Input((6, 6, 3)), names["layer"]])
    (record,) = tfspecnorm.spectral_report(model)
    assert "Frobenius" in record.normalization
    kernel = tfspecnorm.fold(model).layers[-1].kernel
    assert np.linalg.norm(tools.array(kernel)) == pytest.approx(1.0, rel=1e-5)


def test_all_that_a_norm_has_without_state():
    norm, kernel = Frobenius(), tools.random(6, 4)
    assert norm.state_shapes(DENSE) == norm.initial_state(kernel, DENSE) == {}
    assert norm.search(kernel, DENSE) == {} and norm.tracking(3) is norm
    bound = norm.upper_bound(ops.convert_to_tensor(kernel), DENSE)
    np.testing.assert_allclose(tools.array(bound), np.linalg.norm(kernel), rtol=1e-5)


def test_the_abstract_methods():
    with pytest.raises(TypeError, match="abstract"):
        norms.Norm()


def test_an_object_that_only_looks_like_a_norm():
    class Pretending:
        state_shapes = initial_state = search = upper_bound = guarantee = measure = print

    with pytest.raises(ValueError, match=r"`tfspecnorm\.norms\.Norm`.*Received: norm="):
        norms.get(Pretending())


def test_a_description_is_the_same_after_it_was_used():
    used, new = (
        norms.convolution((3, 3, 4, 6), norms.window(2, input_size=8), groups=2) for _ in range(2)
    )
    used.matrix(tools.random(3, 3, 4, 6))
    assert used.matrix_shape == (2, 36, 3) and used.adjoint.taps == 9
    assert used == new and hash(used) == hash(new) and repr(used) == repr(new)
    for copied in (copy.deepcopy(used), pickle.loads(pickle.dumps(used))):
        assert copied == new and copied.matrix_shape == (2, 36, 3)
    other = dataclasses.replace(used, kernel_shape=(3, 3, 2, 6), view_shape=(3, 3, 2, 2, 3))
    assert other.matrix_shape == (2, 18, 3) and dataclasses.asdict(used) == dataclasses.asdict(new)
