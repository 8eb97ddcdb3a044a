"""The contenders on flax (linen)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.speed import networks

LEARNING_RATE = 1e-3
CONTENDERS = ("none", "batch normalization", "flax SN", "flax WN")


class Network(nn.Module):
    """Runs a network, and makes its layers where they are used."""

    network: str
    contender: str
    train: bool = True

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return networks.NETWORKS[self.network](_Layers(self.contender, self.train), x)


class _Layers:
    def __init__(self, contender: str, train: bool) -> None:
        self._contender, self._train = contender, train
        self._batch = contender == "batch normalization"

    def _apply(self, layer: nn.Module, x: Any) -> Any:
        if self._contender == "flax SN":
            return nn.SpectralNorm(layer)(x, update_stats=self._train)
        return nn.WeightNorm(layer)(x) if self._contender == "flax WN" else layer(x)

    def _followed(self, x: Any, activate: bool) -> Any:
        if self._batch:
            x = nn.BatchNorm(use_running_average=not self._train, momentum=0.9)(x)
        return nn.relu(x) if activate else x

    def convolution(self, x: Any, filters: int, size: int, activate: bool = False) -> Any:
        layer = nn.Conv(filters, (size, size), use_bias=not self._batch)
        return self._followed(self._apply(layer, x), activate)

    def depthwise(self, x: Any, channels: int, size: int, strides: int) -> Any:
        layer = nn.Conv(
            channels,
            (size, size),
            (strides, strides),
            feature_group_count=channels,
            use_bias=not self._batch,
        )
        return self._followed(self._apply(layer, x), True)

    def dense(self, x: Any, units: int, activate: bool = False) -> Any:
        x = self._apply(nn.Dense(units), x)
        if units == networks.CLASSES:
            return x
        return self._followed(x, activate)

    def pool(self, x: Any) -> Any:
        return nn.avg_pool(x, (2, 2), (2, 2))

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def mean_of_tokens(self, x: Any) -> Any:
        return x.mean(1)

    def flat(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def sum(self, x: Any, y: Any) -> Any:
        return x + y

    def joined(self, x: Any, y: Any) -> Any:
        return jnp.concatenate([x, y], -1)

    def layer_normalization(self, x: Any) -> Any:
        return nn.LayerNorm()(x)

    def attention(self, query: Any, key: Any, value: Any) -> Any:
        return jax.nn.softmax(query @ key.transpose(0, 2, 1)) @ value


def _inputs(network: str, batch: int) -> Any:
    random = np.random.default_rng(0)
    shape = (batch, *networks.input_shape(network))
    return jnp.asarray(random.standard_normal(shape).astype("float32"))


def model(network: str, contender: str) -> dict[str, Any]:
    """The variables of a network with a contender's normalization."""
    module = Network(network, contender)
    variables = jax.jit(module.init)(jax.random.key(0), _inputs(network, 2))
    return {"module": module, "variables": variables}


def training_step(
    made: dict[str, Any], network: str, batch: int, compiled: bool
) -> Callable[[], Any]:
    """A compiled step of stochastic gradient descent on a fixed batch."""
    inputs, labels = _inputs(network, batch), jnp.arange(batch) % networks.CLASSES
    module, optimizer = made["module"], optax.sgd(LEARNING_RATE)
    kept = {name: part for name, part in made["variables"].items() if name != "params"}
    held = {"state": (made["variables"]["params"], kept)}
    held["optimizer"] = optimizer.init(held["state"][0])

    def loss_of(params: Any, kept: Any) -> Any:
        outputs, kept = module.apply({"params": params, **kept}, inputs, mutable=list(kept))
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()
        return loss, kept

    @jax.jit
    def update(state: Any, memory: Any) -> Any:
        params, kept = state
        (loss, kept), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, kept)
        updates, memory = optimizer.update(gradients, memory)
        return (optax.apply_updates(params, updates), kept), memory, loss

    def step() -> float:
        held["state"], held["optimizer"], loss = update(held["state"], held["optimizer"])
        return float(loss)

    return step


def inference(made: dict[str, Any], network: str, batch: int) -> Callable[[], Any]:
    """A prediction for a fixed batch."""
    inputs, variables = _inputs(network, batch), made["variables"]
    module = made["module"].clone(train=False)
    apply = jax.jit(module.apply)
    return lambda: apply(variables, inputs).block_until_ready()


def folded(made: dict[str, Any]) -> None:
    """Not measured."""
    return None
