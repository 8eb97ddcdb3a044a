"""The contenders on equinox."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.speed import networks

LEARNING_RATE = 1e-3
CONTENDERS = ("none", "equinox SN", "equinox WN")


class Network(eqx.Module):
    """The layers of a network in the order of use, and how to run them on one sample."""

    network: str = eqx.field(static=True)
    made: list[Any]

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        layers = _Layers(self.made, state)
        return networks.NETWORKS[self.network](layers, x), layers.state


class _Layers:
    """Uses layers one after the other; with a contender it makes them first, on one sample."""

    def __init__(self, made: list[Any], state: Any = None, contender: str | None = None) -> None:
        self.made, self.state, self._contender, self._used = made, state, contender, 0

    def _apply(self, make: Callable[[Any], Any], x: Any) -> Any:
        if self._contender is not None:
            key = jax.random.key(self._used)
            plain = make(key)
            wrapped = plain
            if self._contender == "equinox SN":
                wrapped = eqx.nn.SpectralNorm(plain, "weight", key=key)
            elif self._contender == "equinox WN":
                wrapped = eqx.nn.WeightNorm(plain)
            self.made.append(wrapped)
            layer = plain
        else:
            layer = self.made[self._used]
        self._used += 1
        stateful = isinstance(layer, eqx.nn.SpectralNorm)
        tokens = x.ndim == 2
        if stateful:
            layer = jax.vmap(layer, (0, None), (0, None)) if tokens else layer
            x, self.state = layer(x, self.state)
            return x
        return (jax.vmap(layer) if tokens else layer)(x)

    def convolution(self, x: Any, filters: int, size: int, activate: bool = False) -> Any:
        channels = x.shape[0]
        x = self._apply(
            lambda key: eqx.nn.Conv2d(channels, filters, size, padding=size // 2, key=key), x
        )
        return jax.nn.relu(x) if activate else x

    def depthwise(self, x: Any, channels: int, size: int, strides: int) -> Any:
        def make(key: Any) -> Any:
            return eqx.nn.Conv2d(
                channels, channels, size, strides, size // 2, groups=channels, key=key
            )

        return jax.nn.relu(self._apply(make, x))

    def dense(self, x: Any, units: int, activate: bool = False) -> Any:
        width = x.shape[-1]
        x = self._apply(lambda key: eqx.nn.Linear(width, units, key=key), x)
        return jax.nn.relu(x) if activate else x

    def pool(self, x: Any) -> Any:
        return eqx.nn.AvgPool2d(2, 2)(x)

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def mean_of_tokens(self, x: Any) -> Any:
        return x.mean(0)

    def flat(self, x: Any) -> Any:
        return x.reshape(-1)

    def sum(self, x: Any, y: Any) -> Any:
        return x + y

    def joined(self, x: Any, y: Any) -> Any:
        return jnp.concatenate([x, y], 0)

    def layer_normalization(self, x: Any) -> Any:
        # Without a scale of its own, which no contender normalizes.
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5)

    def attention(self, query: Any, key: Any, value: Any) -> Any:
        return jax.nn.softmax(query @ key.T) @ value


def _inputs(network: str, batch: int) -> Any:
    shape = networks.input_shape(network)
    if len(shape) == 3:
        shape = (shape[2], *shape[:2])
    random = np.random.default_rng(0)
    return jnp.asarray(random.standard_normal((batch, *shape)).astype("float32"))


def model(network: str, contender: str) -> tuple[Network, Any]:
    """The model of a network with a contender's normalization, and its state."""
    made: list[Any] = []
    networks.NETWORKS[network](_Layers(made, contender=contender), _inputs(network, 1)[0])
    module = Network(network, made)
    state = eqx.nn.State(module)
    return eqx.nn.delete_init_state(module), state


def training_step(
    made: tuple[Network, Any], network: str, batch: int, compiled: bool
) -> Callable[[], Any]:
    """A compiled step of stochastic gradient descent on a fixed batch."""
    inputs, labels = _inputs(network, batch), jnp.arange(batch) % networks.CLASSES
    optimizer = optax.sgd(LEARNING_RATE)
    parameters, rest = eqx.partition(made[0], eqx.is_inexact_array)
    held = {"state": (parameters, made[1], optimizer.init(parameters))}

    def loss_of(parameters: Any, state: Any) -> Any:
        module = eqx.combine(parameters, rest)
        outputs, state = jax.vmap(module, (0, None), (0, None), axis_name="batch")(inputs, state)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean(), state

    @eqx.filter_jit
    def update(parameters: Any, state: Any, memory: Any) -> Any:
        found, gradients = eqx.filter_value_and_grad(loss_of, has_aux=True)(parameters, state)
        updates, memory = optimizer.update(gradients, memory)
        return (eqx.apply_updates(parameters, updates), found[1], memory), found[0]

    def step() -> float:
        held["state"], loss = update(*held["state"])
        return float(loss)

    return step


def inference(made: tuple[Network, Any], network: str, batch: int) -> Callable[[], Any]:
    """A prediction for a fixed batch."""
    inputs, module = _inputs(network, batch), eqx.nn.inference_mode(made[0])

    @eqx.filter_jit
    def apply(module: Any, state: Any, inputs: Any) -> Any:
        return jax.vmap(module, (0, None), (0, None), axis_name="batch")(inputs, state)[0]

    return lambda: apply(module, made[1], inputs).block_until_ready()


def folded(made: Any) -> None:
    """Not measured."""
    return None
