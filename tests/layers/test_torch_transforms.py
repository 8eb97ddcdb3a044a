"""PyTorch's transformations: `torch.compile` and `torch.func`."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tfspecnorm import norms
from tfspecnorm.layers import BidirectionalSpectralNorm, MeanSpectralNorm, SpectralNorm, WeightNorm

pytestmark = [
    pytest.mark.skipif(tools.BACKEND != "torch", reason="of PyTorch"),
    # PyTorch's compiler warns of what it does itself.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:Dynamo detected a call to a .functools.lru_cache:UserWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

WRAPPERS = [SpectralNorm, BidirectionalSpectralNorm, MeanSpectralNorm, WeightNorm]


@pytest.mark.parametrize(
    ("wrapper", "training"), [(SpectralNorm, False), *((wrapper, True) for wrapper in WRAPPERS)]
)
def test_compiled_model_computes_and_differentiates_the_same(wrapper, training):
    import torch

    torch._dynamo.reset()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            wrapper(layers.Conv2D(6, 3)),
            wrapper(layers.Conv2D(4, 1)),
            layers.GlobalAveragePooling2D(),
            wrapper(layers.Dense(2)),
        ]
    )
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    inputs = torch.as_tensor(tools.random(2, 8, 8, 3))
    compiled = torch.compile(twin, backend="aot_eager")
    for network in (model, twin):
        outputs = (compiled if network is twin else model)(inputs, training=training)
        outputs.square().sum().backward()
        network.results = [tools.array(outputs.detach())] + [
            tools.array(variable.value.grad) for variable in network.trainable_variables
        ]
    for found, expected in zip(twin.results, model.results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for found, expected in zip(twin.weights, model.weights, strict=True):
        np.testing.assert_allclose(tools.array(found), tools.array(expected), atol=1e-6)


def four(layer):
    return SpectralNorm(layer, tracked_vectors=4)


def operator(layer):
    return SpectralNorm(layer, norm="operator")


def sized(layer):
    return SpectralNorm(layer, norm=norms.Operator(input_size=8))


def bounded(layer):
    return SpectralNorm(layer, norm="operator", bound=0.3)


FAMILIES = {
    "dense": ((6,), lambda: layers.Dense(4)),
    "large": ((700,), lambda: layers.Dense(600)),
    "convolution": ((8, 8, 3), lambda: layers.Conv2D(6, 3)),
    "depthwise": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3)),
    "separable": ((8, 8, 3), lambda: layers.SeparableConv2D(4, 3)),
    "recurrent": ((5, 3), lambda: layers.LSTM(4)),
}
# The rest is for `test-all`: to trace takes long.
QUICK = [("dense", SpectralNorm), ("depthwise", SpectralNorm), ("convolution", operator)]
QUICK += [("convolution", MeanSpectralNorm), ("dense", four), ("large", SpectralNorm)]


@pytest.mark.parametrize(
    ("family", "wrap"),
    [
        pytest.param(family, wrap, marks=() if (family, wrap) in QUICK else pytest.mark.crossed)
        for family in FAMILIES
        for wrap in (*WRAPPERS, four, operator)
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_wrapper_is_one_graph(family, wrap, training):
    """Outputs, gradients and state of two calls are those of eager calls."""
    import torch

    if family == "recurrent" and wrap is MeanSpectralNorm:
        pytest.skip("not one bias for each output")
    torch._dynamo.reset()
    shape, make = FAMILIES[family]
    model = keras.Sequential([keras.Input(shape), wrap(make())])
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    inputs = torch.as_tensor(tools.random(4, *shape))
    for _ in range(2):
        results = []
        for network, call in ((model, model), (twin, compiled)):
            outputs = call(inputs, training=training)
            outputs.square().sum().backward()
            gradients = [variable.value.grad for variable in network.trainable_variables]
            weights = [variable.value.detach() for variable in network.weights]
            results.append([tools.array(x) for x in (outputs.detach(), *gradients, *weights)])
            network.zero_grad()
        for expected, found in zip(*results, strict=True):
            # In the compiled graph sums are taken in another order.
            rounding = 1e-6 * max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_breaks_its_graph_as_often_as_a_plain_one(training):
    import torch

    def breaks(wrap):
        torch._dynamo.reset()
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                wrap(layers.Conv2D(4, 3)),
                layers.ReLU(),
                wrap(layers.DepthwiseConv2D(3)),
                layers.Flatten(),
                wrap(layers.Dense(3)),
            ]
        )
        found = torch._dynamo.explain(model)(torch.ones(2, 8, 8, 3), training=training)
        return found.graph_break_count

    assert breaks(SpectralNorm) == breaks(lambda layer: layer) == 0


@pytest.mark.parametrize(
    ("family", "wrap"),
    [
        *((family, operator) for family in ("large", "convolution", "separable")),
        ("large", SpectralNorm),
        ("convolution", sized),
        ("separable", bounded),
    ],
)
def test_a_search_does_not_break_the_graph(family, wrap):
    """Evaluation iterates until a tensor says that it is enough: one operation of the graph."""
    import torch

    torch._dynamo.reset()
    shape, make = FAMILIES[family]
    model = keras.Sequential([keras.Input(shape), wrap(make())])
    inputs = torch.as_tensor(tools.random(2, *shape))
    found = torch._dynamo.explain(model)(inputs, training=False)
    assert found.graph_break_count == 0


@pytest.mark.parametrize("options", [{}, {"scale": 1.6}, {"bound": 0.3}, {"bound": 30.0}], ids=str)
@pytest.mark.parametrize("make", [lambda: layers.Dense(3), lambda: layers.Conv1D(3, 2)])
def test_derivatives_of_the_kernel_by_torch_func(options, make):
    import torch

    layer = SpectralNorm(make(), **options, dtype="float64")
    layer.layer.dtype_policy = keras.DTypePolicy("float64")
    layer.build((None, 5, 4))
    kernel = layer.layer.kernel
    start = kernel.value.detach().clone()

    def effective(value):
        with keras.StatelessScope([(kernel, value)]):
            return layer.effective_kernels()["kernel"].reshape(-1)

    # The derivative of W/σ at converged vectors, by differences of σ from a decomposition.
    def exact(value):
        matrix = tools.array(value).reshape(-1, 3)
        norm = tools.largest_singular_value(matrix)
        bound = options.get("bound")
        divisor = norm if bound is None else max(norm / bound, 1.0)
        return options.get("scale", 1.0) * matrix.reshape(-1) / divisor

    tangent = torch.as_tensor(tools.random(*start.shape, seed=1, dtype="float64"))
    step = 1e-6
    expected = (exact(start + step * tangent) - exact(start - step * tangent)) / (2 * step)
    jacobian = torch.func.jacrev(effective)(start).reshape(len(expected), -1)
    np.testing.assert_allclose(tools.array(jacobian @ tangent.reshape(-1)), expected, atol=1e-6)
    _, forward = torch.func.jvp(effective, (start,), (tangent,))
    np.testing.assert_allclose(tools.array(forward), expected, atol=1e-6)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_vectorized_over_samples(wrapper):
    import torch

    layer = wrapper(layers.Dense(3))
    inputs = torch.as_tensor(tools.random(5, 4))
    expected = layer(inputs)
    found = torch.func.vmap(lambda sample: layer(sample[None])[0])(inputs)
    np.testing.assert_allclose(
        tools.array(found.detach()), tools.array(expected.detach()), atol=1e-6
    )


@pytest.mark.parametrize(("family", "wrap"), [("large", SpectralNorm), ("convolution", operator)])
def test_a_search_in_functions_of_torch_func(family, wrap):
    import torch

    shape, make = FAMILIES[family]
    layer = wrap(make())
    inputs = torch.as_tensor(tools.random(3, *shape))
    expected = tools.array(layer(inputs).detach())
    if family == "large":
        # A plain convolution of Keras cannot be vectorized.
        found = torch.func.vmap(lambda sample: layer(sample[None])[0])(inputs)
        np.testing.assert_allclose(tools.array(found.detach()), expected, atol=1e-5)
    kernel, (described,) = layer.layer.kernel, layer.kernels
    start = tools.random(*kernel.shape, dtype="float64")
    # A leading value that stands apart: there the vectors of the search are as good as exact ones.
    start[(0,) * start.ndim] += 100.0
    tangent = tools.random(*kernel.shape, seed=1, dtype="float64")
    places = np.arange(4) if family == "large" else np.arange(start.size)

    def effective(value):
        with keras.StatelessScope([(kernel, value)]):
            return layer.effective_kernels()["kernel"].reshape(-1)[places]

    def exact(value):
        norm = norms.exact(value, described.linear_map).value
        return (value / norm).reshape(-1)[places]

    expected = (exact(start + 1e-4 * tangent) - exact(start - 1e-4 * tangent)) / 2e-4
    argument = torch.as_tensor(start, dtype=torch.float32)
    jacobian = tools.array(torch.func.jacrev(effective)(argument)).reshape(len(places), -1)
    np.testing.assert_allclose(jacobian @ tangent.reshape(-1), expected, atol=1e-4)
