"""The contenders on PyTorch itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations

from benchmarks.speed import networks

LEARNING_RATE = 1e-3
CONTENDERS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "none": (lambda layer: layer, False),
    "batch normalization": (lambda layer: layer, True),
    "torch SN": (parametrizations.spectral_norm, False),
    "torch WN": (parametrizations.weight_norm, False),
}


class Network(nn.Module):
    """Runs a network; the layers are made in the first call, in the order of use."""

    def __init__(self, network: str, wrap: Callable[[Any], Any], batch: bool) -> None:
        super().__init__()
        self.made = nn.ModuleList()
        self._network, self._wrap, self._batch = networks.NETWORKS[network], wrap, batch
        self._used = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._used = 0
        return self._network(self, x)

    def _next(self, make: Callable[[], nn.Module]) -> nn.Module:
        if self._used == len(self.made):
            self.made.append(make())
        self._used += 1
        return self.made[self._used - 1]

    def _followed(self, x: Any, channels: int, activate: bool) -> Any:
        if self._batch:
            x = self._next(lambda: nn.BatchNorm2d(channels))(x)
        return torch.relu(x) if activate else x

    def convolution(self, x: Any, filters: int, size: int, activate: bool = False) -> Any:
        layer = self._next(
            lambda: self._wrap(
                nn.Conv2d(x.shape[1], filters, size, padding=size // 2, bias=not self._batch)
            )
        )
        return self._followed(layer(x), filters, activate)

    def depthwise(self, x: Any, channels: int, size: int, strides: int) -> Any:
        layer = self._next(
            lambda: self._wrap(
                nn.Conv2d(
                    channels, channels, size, strides, size // 2, groups=channels,
                    bias=not self._batch,
                )
            )
        )  # fmt: skip
        return self._followed(layer(x), channels, True)

    def dense(self, x: Any, units: int, activate: bool = False) -> Any:
        x = self._next(lambda: self._wrap(nn.Linear(x.shape[-1], units)))(x)
        if self._batch and units != networks.CLASSES:
            x = self._next(lambda: nn.BatchNorm1d(units))(x.transpose(1, 2)).transpose(1, 2)
        return torch.relu(x) if activate else x

    def pool(self, x: Any) -> Any:
        return nn.functional.avg_pool2d(x, 2)

    def mean(self, x: Any) -> Any:
        return x.mean((2, 3))

    def mean_of_tokens(self, x: Any) -> Any:
        return x.mean(1)

    def flat(self, x: Any) -> Any:
        return x.flatten(1)

    def sum(self, x: Any, y: Any) -> Any:
        return x + y

    def joined(self, x: Any, y: Any) -> Any:
        return torch.cat([x, y], 1)

    def layer_normalization(self, x: Any) -> Any:
        return self._next(lambda: nn.LayerNorm(x.shape[-1]))(x)

    def attention(self, query: Any, key: Any, value: Any) -> Any:
        return torch.softmax(query @ key.transpose(1, 2), -1) @ value


def _inputs(network: str, batch: int) -> torch.Tensor:
    shape = networks.input_shape(network)
    if len(shape) == 3:
        shape = (shape[2], *shape[:2])
    random = np.random.default_rng(0)
    return torch.tensor(random.standard_normal((batch, *shape)).astype("float32"))


def model(network: str, contender: str) -> Network:
    """The model of a network with a contender's normalization."""
    torch.manual_seed(0)
    made = Network(network, *CONTENDERS[contender])
    made(_inputs(network, 2))
    return made


def training_step(made: Network, network: str, batch: int, compiled: bool) -> Callable[[], Any]:
    """A step of stochastic gradient descent on a fixed batch."""
    inputs, labels = _inputs(network, batch), torch.arange(batch) % networks.CLASSES
    optimizer = torch.optim.SGD(made.parameters(), LEARNING_RATE)
    made.train()

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(made(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(made: Network, network: str, batch: int) -> Callable[[], Any]:
    """A prediction for a fixed batch."""
    inputs = _inputs(network, batch)

    @torch.no_grad()
    def predict() -> Any:
        made.eval()
        outputs = made(inputs).numpy()
        made.train()
        return outputs

    return predict


def folded(made: Network) -> None:
    """Not measured."""
    return None
