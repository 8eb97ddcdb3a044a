import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.layers.families import FAMILIES, WRAPPERS, data, model_of
from tfspecnorm import scales
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.norms import Matrix


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power_iterations": 0}, "`power_iterations` must be a positive integer.*=0"),
        ({"power_iterations": -1}, "`power_iterations` must be a positive integer.*=-1"),
        ({"power_iterations": 1.5}, "`power_iterations` must be a positive integer.*=1.5"),
        ({"power_iterations": True}, "`power_iterations` must be a positive integer.*=True"),
        ({"power_iterations": None}, "`power_iterations` must be a positive integer.*=None"),
        ({"norm": "frobenius"}, "`norm` must be.*\"matrix\".*norm='frobenius'"),
        ({"norm": Matrix}, "`norm` must be.*norm=<class"),
        ({"scale": 10**400}, "`scale` must be a positive finite number.*scale=1000"),
        ({"jit_compile": 1}, "`jit_compile` must be.*jit_compile=1"),
        ({"norm": {"kernel": "nuclear"}}, "`norm` must be.*norm='nuclear'"),
        ({"scale": -1.0}, "`scale` must be a positive finite number.*scale=-1.0"),
        ({"scale": 0}, "`scale` must be a positive finite number.*scale=0"),
        ({"scale": float("nan")}, "`scale` must be a positive finite number.*scale=nan"),
        ({"scale": "large"}, "`scale` must be a positive finite number.*scale='large'"),
        ({"scale": None}, "`scale` must be a positive finite number.*scale=None"),
        ({"scale": True}, "`scale` must be a positive finite number.*scale=True"),
        ({"bound": 0.0}, "`bound` must be a positive finite number or `None`.*bound=0.0"),
        ({"bound": -2}, "`bound` must be a positive finite number or `None`.*bound=-2"),
        ({"bound": float("inf")}, "`bound` must be a positive finite number.*bound=inf"),
        ({"bound": 1.0, "scale": scales.Learned()}, "`bound` must be `None` with `scale=Learned"),
        ({"jit_compile": "yes"}, "`jit_compile` must be.*jit_compile='yes'"),
    ],
    ids=str,
)
def test_bad_option(options, message):
    with pytest.raises(ValueError, match=message):
        SpectralNorm(layers.Dense(4), **options)


def test_unknown_kernel_name_in_norm():
    layer = SpectralNorm(layers.Dense(4), norm={"depthwise_kernel": "matrix"})
    with pytest.raises(ValueError, match=r"`norm` must have keys among .*\['kernel'\].*depthwise"):
        layer(np.ones((1, 3), "float32"))


@pytest.mark.parametrize("layer", [None, "dense", layers.Dense, 3])
def test_no_layer(layer):
    with pytest.raises(
        ValueError, match="Argument `layer` must be a Keras layer.*Received: layer="
    ):
        SpectralNorm(layer)


def test_wrapper_inside_a_held_layer():
    held = keras.Sequential([SpectralNorm(layers.Dense(4, name="inner"), name="normalized")])
    with pytest.raises(ValueError, match="hold a wrapper.*SpectralNorm named 'normalized'"):
        SpectralNorm(held)


@pytest.mark.parametrize("make", [layers.Flatten, layers.BatchNormalization])
def test_layer_without_kernels(make):
    with pytest.raises(ValueError, match=r"known kernels: .*Dense.*kernels\.register.*Received"):
        SpectralNorm(make())


def test_wrapper_in_a_wrapper():
    with pytest.raises(ValueError, match="must not be or hold a wrapper.*SpectralNorm named"):
        SpectralNorm(SpectralNorm(layers.Dense(4)))


def test_quantized_layer():
    inner = layers.Dense(4)
    inner.build((None, 8))
    inner.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized.*quantization_mode='int8'"):
        SpectralNorm(inner)


@pytest.mark.parametrize("built", [True, False])
def test_layer_with_lora(built):
    inner = layers.Dense(4, lora_rank=2)
    if built:
        inner = layers.Dense(4)
        inner.build((None, 8))
        inner.enable_lora(2)
    with pytest.raises(ValueError, match="must not have LoRA enabled.*lora_rank=2"):
        SpectralNorm(inner)


@pytest.mark.parametrize("method", ["sigma", "warm_up", "restart", "effective_kernels"])
def test_unbuilt(method):
    with pytest.raises(ValueError, match=f"`{method}` needs a built layer.*Received: unbuilt"):
        getattr(SpectralNorm(layers.Dense(4)), method)()


def test_wrong_input_is_the_wrapped_layers_error():
    layer = SpectralNorm(layers.Conv2D(4, 3))
    with pytest.raises(ValueError, match="ndim|incompatible"):
        layer(np.ones((2, 8), "float32"))


def test_unknown_argument():
    with pytest.raises(ValueError, match="Unrecognized keyword"):
        SpectralNorm(layers.Dense(4), iterations=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scales.Fixed(0), "`value` must be a positive finite number.*value=0"),
        (lambda: scales.Learned(-1), "`initial` must be a positive finite number.*initial=-1"),
        (lambda: scales.Tanh(0), "`limit` must be a positive finite number.*limit=0"),
        (lambda: scales.Tanh(1, "a"), "`initial` must be a finite number.*initial='a'"),
    ],
)
def test_bad_scale(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_base_of_the_wrappers_says_what_a_subclass_owes():
    base = Reparameterization(layers.Dense(4))
    base.build((None, 3))
    with pytest.raises(TypeError, match="must define `effective`"):
        base.effective_kernels()
    with pytest.raises(TypeError, match="Fixed has no variable"):
        scales.Fixed(1.0).initial_value(1.0)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("family", ["dense", "einsum", "embedding", "attention", "sequential"])
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("method", ["quantize", "enable_lora"])
def test_methods_that_replace_kernels_are_refused_before_they_do(family, built, method):
    model, layer = model_of("weight", family)
    if not built:
        layer = WRAPPERS["weight"](FAMILIES[family].make())
    inputs = data(family)
    before = tools.array(model(inputs))
    argument = "int8" if method == "quantize" else 2
    parts = [layer, *layers_in(layer.layer)]
    for part in parts:
        if hasattr(part, method):
            with pytest.raises(ValueError, match=f"`{method}` must not .*`tfspecnorm.fold`"):
                getattr(part, method)(argument)
    if built and method == "quantize":
        with pytest.raises(ValueError, match="`quantize` must not"):
            model.quantize("int8")
    FAMILIES[family].call(layer, inputs)
    np.testing.assert_array_equal(tools.array(model(inputs)), before)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_folded_model_can_be_quantized():
    model, _ = model_of("spectral", "dense")
    plain = tfspecnorm.fold(model)
    plain.quantize("int8")
    plain = tfspecnorm.fold(model)
    plain.layers[-1].enable_lora(2)
