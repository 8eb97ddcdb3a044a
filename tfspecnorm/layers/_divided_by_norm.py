"""Base of the wrappers that divide kernels by norms: s·W/σ(W)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.variables import read, read_all
from tfspecnorm._util.arguments import (
    check_boolean,
    check_jit_compile,
    check_positive,
    check_positive_integer,
)
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers import _options, scales
from tfspecnorm.layers._closed_form import quotient
from tfspecnorm.layers._evaluation import certain_share, evaluation_task
from tfspecnorm.layers._full_precision import read_kernel, state_dtype
from tfspecnorm.layers._initial_state import InitialState, sigma_of
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.norms import Measurement, Norm, Task, default_norm

# Note [Factors of one map]
# A separable convolution applies its pointwise kernel to the outputs of its depthwise one: both
# are factors of one linear map, which is to have the norm s, or at most s·c. So s counts once, at
# the last kernel, and with a bound both are divided where the product of their norms is above it:
#     σ₁σ₂ > c:  W₁/σ₁, s·c·W₂/σ₂;      else:  W₁, s·W₂.
# What the layer computes, and with it the gradients of W₁ and W₂, depends on the product alone,
# which is continuous; each factor stays finite. Files of version 0.1 scale and bound each kernel:
# their configurations do not have the entry `scales_each_kernel`.


class _Parts:
    """What belongs to the kernels, by their names. No tracker looks into it."""

    def __init__(self, compiled: bool) -> None:
        self.compiled = compiled
        self.norms: dict[str, Norm] = {}
        self.vectors: dict[str, dict[str, keras.Variable]] = {}
        self.scales: dict[str, keras.Variable] = {}
        # Whether it is the last factor of its map.
        self.is_last: dict[str, bool] = {}
        self.factors: dict[str, list[Kernel]] = {}


class DividedByNorm(Reparameterization):
    """Base of the wrappers that compute with s·W/σ(W): owns the vectors and scales.

    Args:
        layer: Keras layer with known kernels.
        power_iterations: Positive integer, iterations in each training call.
        norm: `None`, a name, a norm object, or a dict from kernel name to one of these.
        scale: Positive number, or one of `tfspecnorm.scales`.
        bound: Positive number c for s·W/max(σ/c, 1), or `None`.
        per_gate: Whether each gate of a recurrent kernel is a kernel of its own.
        jit_compile: `True`, `False` or `"auto"`.
        tracked_vectors: Positive integer, vectors that follow the kernel in training.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        power_iterations: int = 1,
        norm: Any = None,
        scale: Any = 1.0,
        bound: float | None = None,
        per_gate: bool = False,
        jit_compile: bool | str = "auto",
        tracked_vectors: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = check_positive_integer("power_iterations", power_iterations)
        self.bound = None if bound is None else check_positive("bound", bound, " or `None`")
        check_jit_compile(jit_compile)
        self.tracked_vectors = check_positive_integer("tracked_vectors", tracked_vectors)
        self.norm = _options.resolved(norm)
        self.scale = scales.get(scale)
        self.per_gate = check_boolean("per_gate", per_gate)
        self.jit_compile = jit_compile
        self.scale.claim(self)
        if bound is not None and isinstance(self.scale, scales.Learned):
            raise ValueError(
                "Argument `bound` must be `None` with `scale=Learned()`: a learned scale undoes "
                f"the bound. Received: bound={bound!r}"
            )
        # "auto" is no: in a graph it gains nothing, see `benchmarks/power_iteration_xla.py`.
        self._parts = _Parts(compiled=jit_compile is True)
        self._scales_each_kernel = False

    def _check_kernels(self) -> None:
        received = f"{type(self.layer).__name__} named '{self.layer.name}'"
        if self.per_gate and not any(kernel.gates for kernel in self.kernels):
            raise ValueError(
                "Argument `per_gate` must be `False` for a layer without gates. "
                f"Received: per_gate=True for {received}"
            )
        if isinstance(self.norm, dict):
            names = {kernel.name for kernel in self.kernels}
            unknown = sorted(set(self.norm) - names)
            if unknown:
                raise ValueError(
                    f"Argument `norm` must have keys among the layer's kernels {sorted(names)}. "
                    f"Received: norm with {unknown}"
                )
        for kernel in self.kernels:
            norm = self._choose_norm(kernel)
            self._parts.norms[kernel.name] = norm
            self._parts.factors[kernel.name] = self._factors_of(kernel)
            is_last = self._scales_each_kernel or not kernel.followed_by
            self._parts.is_last[kernel.name] = is_last
            try:
                norm.state_shapes(kernel.linear_map)
            except ValueError as error:
                raise ValueError(
                    "Argument `norm` must fit each kernel of the layer; a dict from kernel name to "
                    f"norm gives each its own. Received: norm={norm!r} for kernel "
                    f"'{kernel.name}' ({kernel.linear_map.kind}) of {received}"
                ) from error

    def create_state(self, kernel: Kernel) -> None:
        norm = self._parts.norms[kernel.name]
        start = InitialState(norm, kernel)
        options = {"dtype": state_dtype(kernel.variable.dtype)}
        axes = norm.state_axes(kernel.linear_map)
        self._parts.vectors[kernel.name] = {
            name: self.add_state(
                kernel,
                name,
                start.initializer(name),
                shape=shape,
                axes=axes.get(name, ()),
                trainable=False,
                aggregation="mean",
                **options,
            )
            for name, shape in norm.state_shapes(kernel.linear_map).items()
        }
        if self.scale.trainable and self._parts.is_last[kernel.name]:
            initializer = self._scale_initializer(kernel)
            variable = self.add_state(kernel, "scale", initializer, shape=(), **options)
            self._parts.scales[kernel.name] = variable

    def effective(self, kernel: Kernel, value: Any, training: bool) -> Any:
        measured = {}
        for factor in self._parts.factors[kernel.name]:
            own = value if factor is kernel else read_kernel(factor)
            task = self._task(factor, own, self._moves(factor, training))
            measured[factor.name] = task, task.alone()
        return self._divide(kernel, value, measured, training)

    def _tasks(self, training: bool) -> list[Task]:
        if type(self).effective is not DividedByNorm.effective:
            # A subclass that computes W̄ in another way is asked for it.
            return []
        tasks = []
        for kernel in self._own.described.kernels:
            value = read(kernel.variable)
            value = value if kernel.part is None else kernel.value_in(value)
            tasks.append(self._task(kernel, value, self._moves(kernel, training)))
        return tasks

    def _compute(
        self, training: bool, tasks: Sequence[Task], measured: Sequence[Measurement]
    ) -> list[tuple[Kernel, Any]]:
        if not tasks:
            return super()._compute(training, tasks, measured)
        found, pairs, kernels = {}, [], self._own.described.kernels
        for kernel, task, measurement in zip(kernels, tasks, measured, strict=True):
            found[kernel.name] = task, measurement
        for kernel in kernels:
            moves = found[kernel.name][0].power_iterations > 0
            pairs.append((kernel, self._divide(kernel, None, found, moves)))
        return pairs

    def _task(self, kernel: Kernel, value: Any, moves: bool) -> Task:
        """How a kernel is to be measured: from the stored vectors in training, else anew."""
        norm = self._parts.norms[kernel.name]
        if not moves:
            return evaluation_task(norm, value, kernel.linear_map)
        state = read_all(self._parts.vectors[kernel.name])
        compiled = self._parts.compiled
        return Task(norm, value, state, kernel.linear_map, self.power_iterations, compiled)

    def _divide(
        self,
        kernel: Kernel,
        value: Any,
        found: dict[str, tuple[Task, Measurement]],
        moves: bool,
    ) -> Any:
        """W̄ of a kernel, from its measurement and those of the other factors of its map."""
        task, measured = found[kernel.name]
        if moves:
            for name, variable in self._parts.vectors[kernel.name].items():
                self.update(variable, measured.state[name])
        scale = 1.0
        if kernel.name in self._parts.scales:
            scale = self.scale(self._parts.scales[kernel.name].value)
        elif self._parts.is_last[kernel.name]:
            fixed = isinstance(self.scale, scales.Fixed)
            scale = self.scale.value if fixed else self.scale(None)
        factors = self._parts.factors[kernel.name]
        if self.bound is None or (moves and len(factors) == 1):
            return quotient(task.kernel, measured, scale, self.bound)
        value = read_kernel(kernel) if value is None else value
        return scale * self._within_bound(kernel, value, found)

    def _within_bound(
        self, kernel: Kernel, value: Any, found: dict[str, tuple[Task, Measurement]]
    ) -> Any:
        """W or W·c/σ, of the last factor of a map; W or W/σ of another one."""
        share = norm = 1.0
        # No `math.prod`: of a generator of tensors `torch.compile` makes no graph.
        for factor in self._parts.factors[kernel.name]:
            task, measured = found[factor.name]
            share = share * certain_share(task, measured.sigma)
            norm = norm * (task.size * measured.sigma)
        limit = self.bound * share
        task, measured = found[kernel.name]
        divided = quotient(task.kernel, measured)
        if self._parts.is_last[kernel.name]:
            divided = limit * divided
        return ops.where(norm <= limit, value, divided)

    def _scale_initializer(self, kernel: Kernel) -> Callable[..., Any]:
        """Keras initializer of a trainable scale, which may start at the norm of its map."""

        def initialize(shape: Any, dtype: Any = None) -> Any:
            factors = self._parts.factors[kernel.name]
            norm = math.prod(sigma_of(self._parts.norms[part.name], part) for part in factors)
            return ops.cast(self.scale.initial_value(norm), dtype)

        return initialize

    def sigma(self) -> dict[str, Any]:
        """The norm of each raw kernel, measured anew: right whatever the stored vectors are.

        Returns:
            Dict from kernel name (`"kernel"`, ...) to a scalar tensor.

        Raises:
            ValueError: If the wrapper is not built.

        Example:

        >>> from tfspecnorm import layers
        >>> inner = keras.layers.Dense(4, kernel_initializer="orthogonal")
        >>> layer = layers.SpectralNorm(inner)
        >>> layer.build((None, 4))
        >>> round(float(layer.sigma()["kernel"]), 4)
        1.0
        """
        self._check_built("sigma")
        norms = self._parts.norms
        found = {kernel.name: sigma_of(norms[kernel.name], kernel) for kernel in self.kernels}
        return {name: ops.stop_gradient(sigma) for name, sigma in found.items()}

    @property
    def kernel_norms(self) -> dict[str, Norm]:
        """The norm object that each kernel of the built layer is divided by, by name."""
        return dict(self._parts.norms)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        # See Note [Factors of one map].
        each = config.pop("scales_each_kernel", True)
        layer = super().from_config(config, custom_objects=custom_objects)
        layer._scales_each_kernel = each
        return layer

    def get_config(self) -> dict[str, Any]:
        norm = self.kernel_norms if self.built else self.norm
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
            "norm": _options.serialized(norm),
            "scale": keras.saving.serialize_keras_object(self.scale),
            "bound": self.bound,
            "per_gate": self.per_gate,
            "jit_compile": self.jit_compile,
            "tracked_vectors": self.tracked_vectors,
            "scales_each_kernel": self._scales_each_kernel,
        }

    def _choose_norm(self, kernel: Kernel) -> Norm:
        norm = self.norm.get(kernel.name) if isinstance(self.norm, dict) else self.norm
        norm = default_norm(kernel.linear_map) if norm is None else norm
        return norm if self.tracked_vectors == 1 else norm.tracking(self.tracked_vectors)

    def _factors_of(self, kernel: Kernel) -> list[Kernel]:
        """The kernels whose product is the linear map that a kernel is a factor of."""
        if self._scales_each_kernel:
            return [kernel]
        last = kernel.followed_by or kernel.name
        return [factor for factor in self.kernels if last in (factor.name, factor.followed_by)]
