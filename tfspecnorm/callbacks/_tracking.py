"""Norms of kernels that change little from one measurement to the next."""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from tfspecnorm import norms
from tfspecnorm._backend.tracing import traced
from tfspecnorm._backend.variables import run
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._full_precision import at_least_32_bits
from tfspecnorm.layers._listing import Measured
from tfspecnorm.norms.linear_map import DEPTHWISE_CONVOLUTION, LinearMap


class Tracked:
    """A norm of one kernel, from the vectors of its last measurement.

    The first measurement converges them.

    Args:
        norm: Name of the norm.
        linear_map: `LinearMap` of the kernel.
        power_iterations: Positive integer, iterations in each measurement.

    Raises:
        ValueError: If the norm does not apply to the kernel.
    """

    def __init__(self, norm: str, linear_map: LinearMap, power_iterations: int) -> None:
        self._norm = norms.get(norm)
        self._norm.state_shapes(linear_map)
        self._linear_map = linear_map
        self._measurement = _measurement(norm, linear_map, power_iterations)
        self._state: dict[str, Any] | None = None

    def __call__(self, value: Any) -> Any:
        """The norm of the kernel's value, as a scalar tensor."""
        value = ops.stop_gradient(at_least_32_bits(value))
        if self._state is None:
            found = self._norm.initial_state(ops.convert_to_numpy(value), self._linear_map)
            self._state = {name: ops.cast(part, value.dtype) for name, part in found.items()}
        sigma, self._state = self._measurement(value, self._state)
        return sigma


@functools.lru_cache(maxsize=256)
def _measurement(name: str, linear_map: LinearMap, power_iterations: int) -> Callable[..., Any]:
    """Function from kernel and state to σ and state, one for all kernels that are alike.

    Traced, because its many small operations take longer one by one than the products.
    """
    norm = norms.get(name)

    def measurement(value: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        measured = norm(value, state, linear_map, power_iterations)
        # Not every backend's maximum over blocks passes on what is not a number.
        return measured.sigma + ops.sum(0.0 * value), measured.state

    return traced(measurement)


def _wrapper_sigma(layers: list[Measured]) -> Callable[[], dict[str, Any]]:
    """Function that gives σ of all wrappers, as they measure it, by column."""
    variables = list({id(v): v for layer in layers for v in layer.layer.weights}.values())

    def sigma(values: list[Any]) -> dict[str, Any]:
        # What is mapped is an argument, which a traced function wants on JAX.
        mapping = zip(variables, values, strict=True)
        found, *_ = run(lambda: [layer.layer.sigma() for layer in layers], mapping)
        return {
            layer.column(part): sigmas[part.name]
            for layer, sigmas in zip(layers, found, strict=True)
            for part in layer.kernels
        }

    measure = traced(sigma)
    return lambda: measure([ops.convert_to_tensor(variable.value) for variable in variables])


class Tracking:
    """All norms of the layers of a model.

    Args:
        layers: List of `Measured`.
        operator_norm: Whether the norm of the map that a layer computes with is measured too.
        power_iterations: Positive integer, iterations in each measurement.

    Attributes:
        without_size: Names of the kernels whose map has no norm that could be measured,
            because the size of its images is not known.
    """

    def __init__(self, layers: list[Measured], operator_norm: bool, power_iterations: int) -> None:
        self._layers = layers
        self._wrapper_sigma = _wrapper_sigma([layer for layer in layers if _stores(layer)])
        self._sigma: dict[str, Tracked] = {}
        self._operator: dict[str, Tracked] = {}
        self.without_size: list[str] = []
        for layer in layers:
            for kernel in layer.kernels:
                column = layer.column(kernel)
                linear_map = kernel.linear_map
                if not _stores(layer):
                    self._sigma[column] = Tracked("matrix", linear_map, power_iterations)
                if operator_norm:
                    norm = _operator_norm(kernel)
                    try:
                        self._operator[column] = Tracked(norm, linear_map, power_iterations)
                    except ValueError:
                        self.without_size.append(column)

    @property
    def columns(self) -> list[str]:
        """Names of all that a measurement returns."""
        names = [layer.column(kernel) for layer in self._layers for kernel in layer.kernels]
        return [f"sigma/{name}" for name in names] + [
            f"operator_norm/{name}" for name in names if name in self._operator
        ]

    def __call__(self) -> dict[str, float]:
        """The norms of the kernels as they are now, by the name of the column."""
        sigma, operator = self._wrapper_sigma(), {}
        for layer in self._layers:
            columns = {layer.column(kernel): kernel.name for kernel in layer.kernels}
            if _stores(layer) and not any(column in self._operator for column in columns):
                continue
            effective = layer.effective_kernels()
            for column, name in columns.items():
                if column in self._sigma:
                    sigma[column] = self._sigma[column](effective[name])
                if column in self._operator:
                    operator[column] = self._operator[column](effective[name])
        found = {f"sigma/{name}": value for name, value in sigma.items()}
        found |= {f"operator_norm/{name}": value for name, value in operator.items()}
        return {name: float(ops.convert_to_numpy(value)) for name, value in found.items()}


def _stores(layer: Measured) -> bool:
    """Whether a wrapper keeps the vectors that σ is measured with."""
    return isinstance(layer.layer, DividedByNorm)


def _operator_norm(kernel: Kernel) -> str:
    """The name of the norm of the kernel's map; that of a depthwise one is at hand at any size."""
    return "fourier" if kernel.linear_map.kind == DEPTHWISE_CONVOLUTION else "operator"
