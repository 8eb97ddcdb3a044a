"""Every model family of keras-hub and `keras.applications`: wrapped, trained, saved, folded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tfspecnorm
from benchmarks import every_model
from tests import tools
from tests.hub import families
from tests.hub.expected import LEFT_RAW
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import SpectralNorm, WeightNorm, scales

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
# On the other backends one family of each kind.
NAMES = list(families.FAMILIES)
if tools.BACKEND != "tensorflow":
    NAMES = ["BERT", "T5", "Llama", "ViT", "ResNet", "BertTextClassifier", "GPT2CausalLM"]

pytestmark = [
    pytest.mark.hub,
    pytest.mark.filterwarnings(
        "ignore:`wrap` leaves",
        # T5's attention, in every call.
        "ignore:.*was passed an input with a mask:UserWarning",
        # Tasks are loaded without their optimizer.
        "ignore:.*`compile\\(\\)` was not called as part of model loading:UserWarning",
        # The backbones of Llama and Mistral hold the matrix that only their tasks multiply with.
        "ignore:Gradients do not exist.*reverse_embeddings:UserWarning",
    ),
]


def matrices_of(model):
    """Every weight of two axes or more but biases, once."""
    return {id(v): v for v in model.weights if len(v.shape) > 1 and v.name != "bias"}.values()


def wrappers_in(model):
    return [part for part in layers_in(model) if isinstance(part, tfspecnorm.layers.SpectralNorm)]


def trained(name):
    """A plain model, and it wrapped and trained for a step, with the inputs of that."""
    plain = families.FAMILIES[name]()
    model = tfspecnorm.wrap(plain, SpectralNorm)
    # The graphs of many layers take long to compile.
    targets = families.compile_for_training(model, run_eagerly=name in families.APPLICATIONS)
    inputs = families.batch(model)
    before = model.get_weights()
    assert np.isfinite(np.ravel(model.train_on_batch(inputs, targets))[0])
    assert any((x != y).any() for x, y in zip(before, model.get_weights(), strict=True))
    return plain, model, inputs


def predicted(model, inputs):
    return [tools.array(part) for part in keras.tree.flatten(model.predict_on_batch(inputs))]


def largest_singular_value(matrix):
    """From the smaller Gram matrix: a head of VGG16 has 4096 columns."""
    matrix = np.asarray(matrix, "float64")
    gram = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
    return np.sqrt(np.linalg.eigvalsh(gram)[-1])


def norm_of(kernel, value):
    linear_map = kernel.linear_map
    if linear_map.kind == "depthwise_convolution":
        # In double precision; tests/norms compares it with dense matrices.
        return tfspecnorm.norms.measure(value, linear_map, "fourier")
    matrices = linear_map.matrix(value, np)
    return max(map(largest_singular_value, matrices.reshape(-1, *matrices.shape[-2:])))


@pytest.mark.parametrize("name", NAMES)
def test_wrapped_trained_saved_and_folded(name, tmp_path):
    plain, model, inputs = trained(name)
    assert isinstance(model, type(plain))

    # Every matrix is normalized or named.
    kernels = [kernel for wrapper in wrappers_in(model) for kernel in wrapper.kernels]
    left = tfspecnorm.raw_matrices(model)
    assert tuple(matrix.path for matrix in left) == LEFT_RAW.get(name, ())
    assert len({id(k.variable) for k in kernels}) + len(left) == len(matrices_of(plain))
    assert every_model.row(name, plain, model) in PAGE.splitlines()

    # Singular values by LAPACK of what the layers compute with, right after the step.
    for wrapper in wrappers_in(model):
        effective = wrapper.effective_kernels()
        for kernel in wrapper.kernels:
            norm = norm_of(kernel, tools.array(effective[kernel.name]))
            assert norm == pytest.approx(1.0, abs=1e-3), (wrapper.name, kernel.name)

    expected = predicted(model, inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    for received, wanted in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, wanted)
    folded = tfspecnorm.fold(model)
    assert type(folded) is type(plain)
    assert not any(type(part).__module__.startswith("tfspecnorm") for part in layers_in(folded))
    for other, tolerance in ((loaded, 1e-6), (folded, 1e-5)):
        other.run_eagerly = model.run_eagerly
        for received, wanted in zip(predicted(other, inputs), expected, strict=True):
            np.testing.assert_allclose(received, wanted, rtol=tolerance, atol=tolerance)


def test_the_table_names_every_family():
    rows = [line.split(" | ")[0][2:] for line in PAGE.splitlines() if line.startswith("| ")]
    assert set(families.FAMILIES) <= set(rows)


@pytest.mark.skipif(
    tools.BACKEND != "tensorflow", reason="`fit` of keras-hub's tasks needs TensorFlow or grain"
)
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
def test_the_code_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, printed, _, registered = re.findall(r"```(?:python)?\n(.*?)```", PAGE, flags=re.DOTALL)
    token_ids = np.random.default_rng(0).integers(0, 100, (4, 8))
    ones = np.ones_like(token_ids)
    tokens = {"token_ids": token_ids, "padding_mask": ones, "segment_ids": 0 * ones}
    names = {"tokens": tokens, "labels": np.array([0, 1, 0, 1])}
    exec(compile(first, "models.md", "exec"), names)
    assert capsys.readouterr().out.startswith(printed)
    assert type(names["plain"]) is type(names["classifier"])
    exec(compile(registered, "models.md", "exec"), names)
    assert tfspecnorm.kernels.is_registered(names["Mixing"]())


LOADED_ALONE = """
import sys
sys.modules["tfspecnorm"] = None
import keras, numpy
import keras_hub
inputs = dict(numpy.load("inputs.npz"))
numpy.save("outputs.npy", keras.saving.load_model("plain.keras").predict_on_batch(inputs))
"""


@pytest.mark.parametrize("name", ["Llama", "BertTextClassifier"])
def test_the_file_of_a_folded_model_needs_no_package(name, tmp_path):
    _, model, inputs = trained(name)
    tfspecnorm.fold(model).save(tmp_path / "plain.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    subprocess.run(
        [sys.executable, "-c", LOADED_ALONE],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": tools.BACKEND},
        check=True,
        timeout=300,
    )
    outputs = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(outputs, predicted(model, inputs)[0], rtol=1e-5, atol=1e-5)


def test_generated_tokens():
    _, model, inputs = trained("GPT2CausalLM")
    inputs["padding_mask"][:, 2:] = 0
    made = []
    for one in (model, tfspecnorm.fold(model)):
        one.compile(sampler="greedy")
        made.append(tools.array(one.generate(inputs, stop_token_ids=None)["token_ids"]))
    np.testing.assert_array_equal(*made)
    np.testing.assert_array_equal(made[0][:, :2], inputs["token_ids"][:, :2])
    assert (made[0] != inputs["token_ids"]).any()


def test_the_backbone_of_a_wrapped_task():
    plain, model, inputs = trained("BertTextClassifier")
    folded = tfspecnorm.fold(model)
    assert type(folded.backbone) is type(plain.backbone)
    received, wanted = (predicted(one.backbone, inputs) for one in (model, folded))
    for one, other in zip(received, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "wrapper", [WeightNorm, lambda layer: SpectralNorm(layer, scale=scales.Learned())]
)
def test_a_frozen_backbone_keeps_its_gains(wrapper):
    model = tfspecnorm.wrap(families.FAMILIES["BertTextClassifier"](), wrapper)
    model.backbone.trainable = False
    assert not model.backbone.trainable_variables
    frozen = [tools.array(variable) for variable in model.backbone.weights]
    head = [tools.array(variable) for variable in model.output_dense.trainable_variables]
    targets = families.compile_for_training(model)
    model.train_on_batch(families.batch(model), targets)
    # The vectors of power iterations rest, too: nothing in the backbone moves.
    for before, variable in zip(frozen, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(before, tools.array(variable))
    after = [tools.array(variable) for variable in model.output_dense.trainable_variables]
    assert all((x != y).any() for x, y in zip(head, after, strict=True))


def test_a_clone_is_refused():
    """`clone_model` makes each layer anew from its configuration, and knows of no wrapper."""
    model = tfspecnorm.wrap(families.FAMILIES["BERT"](), SpectralNorm)
    with pytest.raises(ValueError, match="cannot be saved or copied by itself"):
        keras.models.clone_model(model)
