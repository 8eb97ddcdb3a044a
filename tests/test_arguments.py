"""Wrong arguments are refused where they are given, by an error that names them."""

import functools

import keras
import numpy as np
import pytest

import tfspecnorm
from tfspecnorm import gan, initializers, kernels, layers, metrics, models, norms, schedules
from tfspecnorm.layers import scales
from tfspecnorm.metrics import extractors

NO_FLAG = ("no", 1, None, [True])
NO_COUNT = ("3", 0, -1, 2.5, None, True, [2])
NO_SEED = ("3", -1, 2.5, True, [2])
NO_NUMBER = ("0.1", None, True, float("nan"), [0.1], 1j)
NO_NAME = (3, "", None)
NO_SHAPE = ("33", 3, None, (3.0, 2), (3, -1), (3, True), (3, "2"))
NO_MODEL = ("model", None, keras.layers.Dense(2))
SMALL = {"width": 0.1, "classes": 2}


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


def wrapped(wrapper=layers.SpectralNorm):
    return keras.Sequential([keras.Input((4,)), wrapper(keras.layers.Dense(2))])


def images():
    return keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])


def pair():
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    return generator, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def compile_gan(**arguments):
    gan.GAN(*pair()).compile(**{"generator_optimizer": "sgd", **arguments})


def generate(**arguments):
    gan.GAN(*pair()).generate(**{"count": 1, **arguments})


def reset(metric, **arguments):
    metric(Extractor()).reset_state(**arguments)


class Extractor:
    name = "random"

    def features(self, images):
        return images

    probabilities = features


DENSE = norms.dense((3, 2))
CONVOLUTION = norms.convolution((3, 3, 2, 4), norms.window(2, 5))
MATRIX, TAPS = np.ones((3, 2)), np.ones((3, 3, 2, 4))
COMPLEX = (MATRIX * 1j, MATRIX.astype(str), "kernel", None, [[1.0], [2.0, 3.0]])
NO_KERNEL = (np.ones((2, 3)), np.ones(6), *COMPLEX)
NO_MAP = ("dense", None, (3, 2))
NO_SCALE = ("2", -1.0, 0.0, True, None, 1j)

# What is called, and values that an argument must not have.
WRONG = [
    (
        norms.LinearMap,
        {"kind": "dense", "kernel_shape": (3, 2), "output_axes": (1,)},
        {
            "kind": ("nope", 3, None, ["dense"]),
            "kernel_shape": NO_SHAPE,
            "output_axes": ((2,), (-1,), 1, "1", (0.5,), None),
            "block_axes": ((1,), (2,), None, "0"),
            "view_shape": ((3, 3), "32", (6.0,)),
            "window": (norms.window(2, 8), "same", 3),
        },
    ),
    (
        norms.convolution,
        {"kernel_shape": (3, 3, 2, 4)},
        {
            "kernel_shape": (*NO_SHAPE, (3, 4)),
            "window": (norms.window(1, 8), "same", 3),
            "groups": (*NO_COUNT, 3),
        },
    ),
    (
        norms.transposed_convolution,
        {"kernel_shape": (3, 3, 2, 4)},
        {
            "kernel_shape": NO_SHAPE,
            "window": (norms.window(1), "same"),
        },
    ),
    (
        norms.depthwise_convolution,
        {"kernel_shape": (3, 3, 2, 4)},
        {
            "kernel_shape": NO_SHAPE,
            "window": (norms.window(3), "same"),
        },
    ),
    (norms.dense, {"kernel_shape": (3, 2)}, {"kernel_shape": NO_SHAPE, "kind": ("nope", None)}),
    (
        norms.window,
        {"rank": 2},
        {
            "rank": NO_COUNT,
            "input_size": (0, -1, 2.5, "8", (8,), (8, "8"), True),
            "strides": (0, -1, 1.5, "2", None, (1,), (1, 0)),
            "padding": ("VALID", "nope", None, 1, []),
            "dilation_rate": (0, -1, 1.5, "2", None, (1,)),
            "output_padding": (-1, 0.5, "0", (0,)),
            "data_format": ("last", None, 1, []),
        },
    ),
    (
        norms.exact,
        {"kernel": MATRIX, "linear_map": DENSE},
        {
            "kernel": NO_KERNEL,
            "linear_map": NO_MAP,
            "tolerance": (*NO_NUMBER, -1, 1),
        },
    ),
    (
        norms.measure,
        {"kernel": MATRIX, "linear_map": DENSE},
        {
            "kernel": NO_KERNEL,
            "linear_map": NO_MAP,
            "norm": ("nope", None, 3, norms.Matrix),
        },
    ),
    *(
        (function, {"linear_map": CONVOLUTION}, {"linear_map": NO_MAP})
        for function in (
            norms.entries_of,
            norms.is_small,
            norms.work_of,
            norms.default_norm,
        )
    ),
    (norms.Gram, {}, {"iterations": NO_COUNT}),
    (
        norms.Operator,
        {},
        {
            "input_size": ("8", 0, 2.5, (8, 0), True),
            "tolerance": (*NO_NUMBER, 0, 1),
        },
    ),
    (
        kernels.register,
        {"layer_class": keras.layers.Rescaling, "describe": list},
        {
            "layer_class": (keras.layers.Dense(2), "Dense", None, int),
            "describe": ("x", 3, []),
        },
    ),
    (
        kernels.register_holder,
        {"layer_class": keras.layers.Rescaling, "parts": dict},
        {
            "layer_class": (keras.layers.Dense(2), "Dense", None, int),
            "parts": ("x", 3, []),
        },
    ),
    (
        kernels.kernels_of,
        {"layer": model().layers[0]},
        {
            "layer": ("layer", None, keras.layers.Dense),
            "per_gate": NO_FLAG,
        },
    ),
    (
        layers.SpectralNorm,
        {"layer": keras.layers.LSTM(2)},
        {
            "layer": ("layer", None, keras.layers.Dense),
            "power_iterations": NO_COUNT,
            "norm": ("nope", 3, norms.Matrix),
            "scale": NO_SCALE,
            "bound": ("2", -1.0, 0.0, True, 1j, [1.0]),
            "per_gate": NO_FLAG,
            "jit_compile": ("no", 1, None, []),
        },
    ),
    (
        layers.BidirectionalSpectralNorm,
        {"layer": keras.layers.LSTM(2)},
        {
            "layer": ("layer",),
            "power_iterations": NO_COUNT,
            "scale": NO_SCALE,
            "bound": ("2", -1.0),
            "per_gate": NO_FLAG,
            "jit_compile": ("no", 1, None),
        },
    ),
    (
        layers.MeanSpectralNorm,
        {"layer": keras.layers.Dense(2)},
        {
            "layer": ("layer",),
            "power_iterations": NO_COUNT,
            "momentum": (*NO_NUMBER, 1, -0.1),
            "synchronized": NO_FLAG,
            "norm": ("nope", 3),
            "jit_compile": ("no", 1, None),
            "scale": NO_SCALE,
        },
    ),
    (layers.WeightNorm, {}, {"layer": ("layer", None, keras.layers.Dense)}),
    (scales.Fixed, {}, {"value": (*NO_NUMBER, 0)}),
    (scales.Learned, {}, {"initial": ("0.1", True, float("inf"), [1.0], 0)}),
    (scales.Tanh, {"limit": 2.0}, {"limit": (*NO_NUMBER, 0), "initial": NO_NUMBER}),
    (
        initializers.robust,
        {"model": wrapped(layers.WeightNorm)},
        {
            "model": (*NO_MODEL, model()),
            "stages": ("a", 3, [[]], [["a"]]),
            "gammas": ("a", 3, ["a"]),
            "seed": NO_SEED,
        },
    ),
    (initializers.data_dependent, {"batch": np.ones((4, 4))}, {"model": (*NO_MODEL, model())}),
    (
        schedules.QuadraticWarmUp,
        {"learning_rate": 0.1, "warm_up_steps": 3},
        {
            "learning_rate": (*NO_NUMBER, 0),
            "warm_up_steps": NO_COUNT,
            "initial_learning_rate": (*NO_NUMBER, -1),
        },
    ),
    (
        metrics.FrechetDistance,
        {"extractor": Extractor()},
        {
            "extractor": ("a", None),
            "name": NO_NAME,
        },
    ),
    (
        metrics.InceptionScore,
        {"extractor": Extractor()},
        {
            "extractor": ("a", None),
            "splits": NO_COUNT,
            "seed": NO_SEED,
            "name": NO_NAME,
        },
    ),
    *(
        (functools.partial(reset, metric), {}, {"keep_real": NO_FLAG})
        for metric in (
            metrics.FrechetDistance,
            metrics.InceptionScore,
        )
    ),
    (
        metrics.inception_score,
        {"probabilities": np.full((4, 2), 0.5), "splits": 2},
        {
            "probabilities": ("a", None, np.ones(3), np.full((4, 2), 0.5j)),
            "splits": NO_COUNT,
            "seed": NO_SEED,
        },
    ),
    (
        extractors.Extractor,
        {"model": images(), "name": "a"},
        {
            "model": NO_MODEL,
            "name": NO_NAME,
            "feature_layer": ("nope", 3),
            "image_size": (8, (8,), ("8", 8), (8, 0)),
            "preprocess": ("a", 3),
            "from_logits": NO_FLAG,
            "batch_size": NO_COUNT,
        },
    ),
    (
        extractors.classifier,
        {"images": np.zeros((4, 8, 8, 1), "float32"), "labels": [0, 1] * 2},
        {
            "images": ("a", None, np.zeros((4, 8))),
            "labels": ("a", None, [0.5] * 4),
            "path": (3, "a.txt"),
            "epochs": NO_COUNT,
            "seed": NO_SEED,
            "name": NO_NAME,
        },
    ),
    (
        models.Normalization,
        {"name": "a"},
        {
            "name": NO_NAME,
            "wrapper": ("a", 3),
            "linear": ("a", 3),
            "unscaled": ("a", 3),
            "batch": NO_FLAG,
            "negative_slope": (*NO_NUMBER, 1),
        },
    ),
    *(
        (
            function,
            SMALL,
            {
                "input_shape": ("a", 3, None, (0, 4), (8.0, 8, 1)),
                "classes": NO_COUNT,
                "normalization": ("nope", 3, None, keras.layers.Dense(2)),
                "width": (*NO_NUMBER, 0),
                "name": NO_NAME,
            },
        )
        for function in (
            models.mlp,
            models.small_cnn,
            models.vgg7,
            models.densenet_bc,
            models.resnet_separable,
            models.mobilenet_v2,
            models.resnet,
            models.wide_resnet,
        )
    ),
    (models.mlp, SMALL, {"depth": NO_COUNT, "units": NO_COUNT, "negative_slope": ("a", True, 1)}),
    (models.vgg7, SMALL, {"dropout": ("a", True, 1), "negative_slope": ("a", True, 1)}),
    (
        models.densenet_bc,
        SMALL,
        {
            "depth": NO_COUNT,
            "growth": NO_COUNT,
            "compression": (*NO_NUMBER, 0, 2),
            "bottleneck": NO_COUNT,
            "use_bias": ("no", 1, []),
            "negative_slope": ("a", True, 1),
        },
    ),
    (
        models.mobilenet_v2,
        SMALL,
        {
            "stages": ("a", 3, [(1, 2, 3)], [(1, 2, 3, 0)]),
            "last_filters": NO_COUNT,
            "small_strides": ("no", 1, []),
            "dropout": (*NO_NUMBER, 1),
        },
    ),
    (models.resnet_separable, SMALL, {"blocks": ("a", 3, [0], [1.5]), "scale": ("a", 0, True)}),
    (models.wide_resnet, SMALL, {"depth": NO_COUNT, "widening": (*NO_NUMBER, 0)}),
    (models.robust_start, {}, {"model": NO_MODEL}),
    (models.residual_stages, {}, {"model": NO_MODEL}),
    *(
        (
            function,
            {"size": 8, "width": 0.1},
            {
                "size": NO_COUNT,
                "channels": NO_COUNT,
                "width": (*NO_NUMBER, 0),
                "normalization": ("nope", 3, None),
            },
        )
        for function in (
            models.sn_dcgan,
            models.sn_dcgan_generator,
            models.sn_dcgan_discriminator,
            models.sn_resnet_gan,
            models.sn_resnet_generator,
            models.sn_resnet_discriminator,
        )
    ),
    (
        gan.GAN,
        dict(zip(("generator", "discriminator"), pair(), strict=True)),
        {
            "generator": NO_MODEL,
            "discriminator": NO_MODEL,
            "latent_size": ("3", 2, True, 3.5),
            "n_discriminator": NO_COUNT,
            "average_momentum": ("a", 1, True),
            "seed": NO_SEED,
            "name": NO_NAME,
            "measure_once": NO_FLAG,
        },
    ),
    (
        compile_gan,
        {"discriminator_optimizer": "adam"},
        {
            "generator_optimizer": ("nope", 3),
            "discriminator_optimizer": ("nope", 3),
            "loss": ("nope", 3, None, gan.losses.Hinge),
            "r1": (*NO_NUMBER, -1),
            "gradient_penalty": (*NO_NUMBER, -1),
            "run_eagerly": NO_FLAG,
            "steps_per_execution": NO_COUNT,
            "jit_compile": ("no", 1, None),
            "auto_scale_loss": NO_FLAG,
        },
    ),
    (
        generate,
        {},
        {
            "count": NO_COUNT,
            "batch_size": NO_COUNT,
            "seed": NO_SEED,
            "averaged": NO_FLAG,
        },
    ),
    (
        tfspecnorm.wrap,
        {"model": model(), "wrapper": layers.SpectralNorm},
        {
            "model": NO_MODEL,
            "remove_batch_normalization": NO_FLAG,
            "grouped": NO_FLAG,
        },
    ),
    (
        tfspecnorm.fold,
        {"model": wrapped()},
        {
            "model": NO_MODEL,
            "report": NO_FLAG,
            "batch_norm": NO_FLAG,
        },
    ),
    (tfspecnorm.spectral_report, {"model": model()}, {"model": NO_MODEL, "progress": NO_FLAG}),
    (
        tfspecnorm.export,
        {"model": model(), "path": "model.keras"},
        {
            "model": NO_MODEL,
            "batch_norm": NO_FLAG,
            "micro": ("no", 1, []),
        },
    ),
    (
        tfspecnorm.callbacks.SpectralMonitor,
        {},
        {
            "every": ("step", *NO_COUNT[1:]),
            "operator_norm": NO_FLAG,
            "power_iterations": NO_COUNT,
        },
    ),
]
CASES = [
    pytest.param(function, given, name, values, id=f"{number}-{name}")
    for number, (function, given, arguments) in enumerate(WRONG)
    for name, values in arguments.items()
]


@pytest.mark.parametrize(("function", "given", "name", "values"), CASES)
def test_wrong_argument_is_named(function, given, name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"(?s)Argument `{name}`.*Received: "):
            function(**{**given, name: value})
            raise AssertionError(f"{name}={value!r} is taken")


def test_integers_and_flags_of_numpy_are_taken():
    described = norms.window(np.int64(2), np.int64(8), strides=np.int64(2))
    assert described == norms.window(2, 8, strides=2)
    layer = layers.SpectralNorm(keras.layers.LSTM(2), np.int64(2), per_gate=np.True_)
    assert layer.power_iterations == 2
    assert layer.per_gate is True


def test_a_layer_that_could_not_be_registered_is_still_known():
    with pytest.raises(ValueError, match="`describe`"):
        kernels.register(keras.layers.Dense, "x")
    assert layers.SpectralNorm(keras.layers.Dense(2))(np.ones((1, 3))).shape == (1, 2)


@pytest.mark.parametrize("made", ["list of names", "kernel of another shape", "complex kernel"])
def test_description_that_does_not_fit_its_layer(made):
    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            dtype = "complex64" if made == "complex kernel" else "float32"
            self.matrix = self.add_weight(shape=(3, 2), initializer="zeros", dtype=dtype)

        def call(self, inputs):
            return inputs @ self.matrix

    shape = (2, 3) if made == "kernel of another shape" else (3, 2)
    kernels.register(Scaled)(
        lambda layer: (
            ["matrix"]
            if made == "list of names"
            else [kernels.Kernel("matrix", layer.matrix, norms.dense(shape))]
        )
    )
    wanted = "`describe`.*list of `Kernel`s" if made == "list of names" else "real floating numbers"
    with pytest.raises(ValueError, match=f"(?s){wanted}.*Received: "):
        layers.SpectralNorm(Scaled()).build((None, 3))
