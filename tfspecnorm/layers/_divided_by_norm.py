"""The wrappers that divide kernels by a norm: what they share."""

import math
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm import norms
from tfspecnorm._backend.operations import ops
from tfspecnorm._util.arguments import check_boolean, check_positive_integer
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers import _options, _warm_start, scales
from tfspecnorm.layers._evaluation import certain_share, evaluation_task
from tfspecnorm.layers._precision import kernel_value, read_master, state_dtype
from tfspecnorm.layers._quotient import quotient
from tfspecnorm.layers._reparameterization import Reparameterization
from tfspecnorm.layers._together import ready

# Note [Factors of one map]
# A separable convolution applies its pointwise kernel to the outputs of its depthwise one: both
# are factors of one linear map, which is to have the norm s, or at most s·c. So s counts once, at
# the last kernel, and with a bound both are divided where the product of their norms is above it:
#     σ₁σ₂ > c:  W₁/σ₁, s·c·W₂/σ₂;      else:  W₁, s·W₂.
# What the layer computes, and with it the gradients of W₁ and W₂, depends on the product alone,
# which is continuous; each factor stays finite. Files of version 0.1 scale and bound each kernel:
# their configurations do not have the entry `scales_each_kernel`.


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
        _options.check(power_iterations, bound, jit_compile)
        self.power_iterations = int(power_iterations)
        self.tracked_vectors = check_positive_integer("tracked_vectors", tracked_vectors)
        self.norm = _options.resolved(norm)
        self.scale = scales.get(scale)
        self.bound = None if bound is None else float(bound)
        self.per_gate = check_boolean("per_gate", per_gate)
        self.jit_compile = jit_compile
        self.scale.claim(self)
        if bound is not None and isinstance(self.scale, scales.Learned):
            raise ValueError(
                "Argument `bound` must be `None` with `scale=Learned()`: a learned scale undoes "
                f"the bound. Received: bound={bound!r}"
            )
        self._state = {}
        self._scale_variables = {}
        self._scales_each_kernel = False

    def check_kernels(self) -> None:
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
            norm = self._norm(kernel)
            try:
                norm.state_shapes(kernel.linear_map)
            except ValueError as error:
                raise ValueError(
                    "Argument `norm` must fit each kernel of the layer; a dict from kernel name to "
                    f"norm gives each its own. Received: norm={norm!r} for kernel "
                    f"'{kernel.name}' ({kernel.linear_map.kind}) of {received}"
                ) from error

    def create_state(self, kernel: Kernel) -> None:
        norm = self._norm(kernel)
        start = _warm_start.WarmStart(norm, kernel)
        dtype = state_dtype(kernel.variable.dtype)
        self._state[kernel.name] = {
            name: self.add_state(
                kernel,
                name,
                shape=shape,
                initializer=start.initializer(name),
                dtype=dtype,
                trainable=False,
                aggregation="mean",
            )
            for name, shape in norm.state_shapes(kernel.linear_map).items()
        }
        if self.scale.trainable and self._takes_scale(kernel):
            variable = self.add_state(
                kernel,
                "scale",
                shape=(),
                initializer=self._scale_initializer(kernel),
                dtype=dtype,
            )
            # Made as a trainable one, which it becomes when its layer is no longer frozen.
            variable.trainable = kernel.variable.trainable
            self._scale_variables[kernel.name] = variable

    def _effective(self, training: bool) -> list[tuple[Kernel, Any]]:
        if self.bound is None or not any(map(self._followed, self.kernels)):
            return super()._effective(training)
        values = [(kernel, kernel_value(kernel)) for kernel in self.kernels]
        found = {
            kernel.name: self._measured(kernel, value, self.moves(kernel, training))[:2]
            for kernel, value in values
        }
        return [
            (kernel, self._bounded(kernel, value, found))
            if len(self._factors(kernel)) > 1
            else (kernel, self.divided(kernel, value, *found[kernel.name]))
            for kernel, value in values
        ]

    def reparameterize(self, kernel: Kernel, value: Any, training: bool) -> Any:
        task, measured, effective = self._measured(kernel, value, training)
        return self.divided(kernel, value, task, measured) if effective is None else effective

    def _measured(self, kernel: Kernel, value: Any, training: bool) -> tuple[Any, Any, Any]:
        """How a kernel is measured, its norm, and W̄ if it waits; in training the state moves."""
        iterations = self.power_iterations if training else 0
        found = ready(self, kernel, iterations)
        if found is None:
            task = self.task(kernel, value, iterations)
            measured, effective = task.alone(), None
        else:
            task, measured, effective = found.task, found.measurement, found.effective
        if training:
            for name, variable in self._state[kernel.name].items():
                self.move(variable, measured.state[name])
        return task, measured, effective

    def values_of(self, kernel: Kernel) -> tuple[Any, ...]:
        """The values of the variables that W̄ is computed from, but for the vectors."""
        scale = self._scale_variables.get(kernel.name)
        return (kernel.variable.value, *(() if scale is None else (scale.value,)))

    def divided(
        self, kernel: Kernel, value: Any, task: norms.Task, measured: norms.Measurement
    ) -> Any:
        """W̄ of a kernel that was measured."""
        scale = self._scale_of(kernel)
        if self.bound is None or task.power_iterations:
            return quotient(task.kernel, measured, scale, self.bound)
        return scale * self._within_bound(value, (task, measured), [(task, measured)])

    def _bounded(self, kernel: Kernel, value: Any, found: dict[str, Any]) -> Any:
        """W̄ of a factor of a map with a bound, see Note [Factors of one map]."""
        factors = [found[factor.name] for factor in self._factors(kernel)]
        last = not self._followed(kernel)
        bounded = self._within_bound(value, found[kernel.name], factors, last)
        return self._scale_of(kernel) * bounded

    def _within_bound(
        self, value: Any, own: tuple[Any, Any], factors: list[tuple[Any, Any]], last: bool = True
    ) -> Any:
        """W or W·c/σ, of the last factor of a map; W or W/σ of another one."""
        limit = self.bound * math.prod(certain_share(task, part.sigma) for task, part in factors)
        norm = math.prod(task.size * part.sigma for task, part in factors)
        task, measured = own
        divided = quotient(task.kernel, measured)
        return ops.where(norm <= limit, value, limit * divided if last else divided)

    def _scale_of(self, kernel: Kernel) -> Any:
        if not self._takes_scale(kernel):
            return 1.0
        variable = self._scale_variables.get(kernel.name)
        return self.scale(None if variable is None else variable.value)

    def _followed(self, kernel: Kernel) -> bool:
        return bool(kernel.followed_by) and not self._scales_each_kernel

    def _takes_scale(self, kernel: Kernel) -> bool:
        return not self._followed(kernel)

    def _factors(self, kernel: Kernel) -> list[Kernel]:
        """The kernels whose product is the linear map that a kernel is a factor of."""
        if self._scales_each_kernel:
            return [kernel]
        last = kernel.followed_by or kernel.name
        return [factor for factor in self.kernels if last in (factor.name, factor.followed_by)]

    def _scale_initializer(self, kernel: Kernel) -> Callable[..., Any]:
        """Keras initializer of a trainable scale, which may start at the norm of its map."""
        starts = [_warm_start.WarmStart(self._norm(part), part) for part in self._factors(kernel)]

        def initialize(shape: Any, dtype: Any = None) -> Any:
            norm = math.prod(start.sigma() for start in starts)
            return ops.cast(self.scale.initial_value(norm), dtype)

        return initialize

    def task(self, kernel: Kernel, value: Any, power_iterations: int = 0) -> norms.Task:
        """How a kernel is to be measured: from the stored vectors in training, else anew."""
        norm = self._norm(kernel)
        if not power_iterations:
            return evaluation_task(norm, value, kernel.linear_map)
        state = {name: _current(v) for name, v in self._state[kernel.name].items()}
        compiled = self.jit_compile is True
        return norms.Task(norm, value, state, kernel.linear_map, power_iterations, compiled)

    def iterations(self, kernel: Kernel, training: bool) -> int:
        """Power iterations in a call: none in evaluation, in which a frozen kernel always is."""
        return self.power_iterations if self.moves(kernel, training) else 0

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
        self.check_built("sigma")
        return read_master(
            lambda: {
                kernel.name: ops.stop_gradient(task.size * task.alone().sigma)
                for kernel in self.kernels
                for task in [self.task(kernel, kernel_value(kernel))]
            }
        )

    @property
    def kernel_norms(self) -> dict[str, Any]:
        """The norm object that each kernel of the built layer is divided by, by name."""
        return {kernel.name: self._norm(kernel) for kernel in self.kernels}

    def warm_up(self) -> None:
        """Converge the vectors to the kernels as they are now.

        Call it before training goes on with kernels from elsewhere: with the vectors of other
        kernels the first training calls take σ for too small. Evaluation does not need it.
        Trainable scales are not touched.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("warm_up")
        for kernel in self.kernels:
            self._restart_vectors(kernel)

    def restart(self) -> None:
        """Start vectors and trainable scales anew, as if the layer were built with its kernels.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("restart")
        for kernel in self.kernels:
            self._restart_vectors(kernel)
            if kernel.name in self._scale_variables:
                variable = self._scale_variables[kernel.name]
                variable.assign(self._scale_initializer(kernel)((), variable.dtype))

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

    def _restart_vectors(self, kernel: Kernel) -> _warm_start.WarmStart:
        start = _warm_start.WarmStart(self._norm(kernel), kernel)
        for name, value in start.state().items():
            self._state[kernel.name][name].assign(value)
        return start

    def _norm(self, kernel: Kernel) -> Any:
        norm = self.norm.get(kernel.name) if isinstance(self.norm, dict) else self.norm
        norm = norms.default_norm(kernel.linear_map) if norm is None else norm
        several = self.tracked_vectors > 1 and hasattr(norm, "tracking")
        return norm.tracking(self.tracked_vectors) if several else norm


def _current(variable: keras.Variable) -> Any:
    value = ops.convert_to_tensor(variable.value)
    # PyTorch updates in place, which must not reach a gradient that still needs this value.
    return ops.copy(value) if keras.backend.backend() == "torch" else value
