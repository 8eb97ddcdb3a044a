"""Base of the wrappers: a layer computes with kernels that are functions of its variables."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from tfspecnorm._backend.distribution import sharded_as
from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.tracing import TRACES_LOOPS, outlives_loop
from tfspecnorm._backend.variables import run
from tfspecnorm._util.arguments import check_names
from tfspecnorm.kernels import Kernel, is_registered
from tfspecnorm.kernels.attachment import call_alone, variables_alone
from tfspecnorm.kernels.composites import kernels_within
from tfspecnorm.kernels.description import check_plain
from tfspecnorm.kernels.recurrent import states_of
from tfspecnorm.layers import _shared_kernels
from tfspecnorm.layers._call_arguments import (
    build_shapes,
    first_argument,
    is_built,
)
from tfspecnorm.layers._described import Described
from tfspecnorm.layers._folding import FoldableLayer
from tfspecnorm.layers._full_precision import read_kernel, read_master
from tfspecnorm.norms import Measurement, Task

# Note [Substitution]
# `layer.kernel = tensor` is impossible in Keras 3, and assigning to the variable would train
# something else than the raw kernel. Inside a `StatelessScope` every read of a variable gives
# the value mapped to it, so the wrapped layer runs unchanged on other kernels. The mapping
# must hold all variables of the layer: the scope hides the scope around it, which in a JAX
# training step is where the other weights and their gradients live. What the layer did inside
# (losses, updates of its state) is handed on afterwards.


class _State(NamedTuple):
    """A variable of a wrapper that belongs to a kernel."""

    variable: keras.Variable
    initializer: Callable[..., Any]
    is_trained: bool


class _Own:
    """What a wrapper keeps for itself: no tracker looks into it, and nothing is saved twice."""

    def __init__(self, patterns: list[str] | None) -> None:
        self.patterns = patterns
        self.states: list[_State] = []
        self.described: Described | None = None


class Reparameterization(FoldableLayer):
    """Base of the wrappers, and of wrappers of your own: a layer with other kernels.

        outputs = layer(inputs; W̄),   W̄ = effective(W)

    The trained variable is the raw kernel W, to which only the optimizer assigns; the gradient
    flows through `effective`. A subclass writes `effective`, and `create_state` if a kernel needs
    variables of its own. Everything else is there: it builds, trains, is saved, folded and
    exported as any wrapper of this package.

    Guarantee: in each call the layer computes with `effective(kernel, value, training)`, of every
    kernel that `tfspecnorm.kernels` knows of it, in at least 32 bits, on every backend.

    Args:
        layer: Keras layer with known kernels, or one that holds such layers, not yet wrapped.
        kernels: Name of a kernel or a pattern for names (`"attention/*"`), or a list of these, to
            leave the other kernels as they are. Of a layer that holds others the names are paths.
            Defaults to all kernels but tables of positions.
        **kwargs: `name`, `dtype`, `trainable`. The dtype policy defaults to the layer's.

    Call arguments: those of the wrapped layer, which it receives unchanged.

    Raises:
        ValueError: For a layer that has no known kernels, is quantized, has LoRA enabled or is
            already wrapped, and for `kernels` that are not there.

    Example, a wrapper that clips all singular values:

    >>> import numpy as np
    >>> from keras import ops
    >>> @keras.saving.register_keras_serializable("my_package")
    ... class Clipped(Reparameterization):
    ...     def __init__(self, layer, limit=1.0, **kwargs):
    ...         super().__init__(layer, **kwargs)
    ...         self.limit = limit
    ...
    ...     def effective(self, kernel, value, training):
    ...         matrix = kernel.linear_map.matrix(value)
    ...         left, singular, right = ops.svd(matrix, full_matrices=False)
    ...         clipped = ops.minimum(singular, self.limit)
    ...         return kernel.linear_map.kernel((left * clipped[..., None, :]) @ right)
    ...
    ...     def get_config(self):
    ...         return {**super().get_config(), "limit": self.limit}
    >>> layer = Clipped(keras.layers.Dense(2, use_bias=False))
    >>> layer.build((None, 2))
    >>> layer.layer.set_weights([np.diag([3.0, 0.5])])
    >>> ops.convert_to_numpy(layer(np.ones((1, 2), "float32"))).round(4).tolist()
    [[1.0, 0.5]]
    """

    # Whether each gate of a recurrent kernel is a kernel of its own.
    per_gate = False

    def __init__(
        self,
        layer: keras.layers.Layer,
        kernels: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        self._own = _Own(check_names("kernels", kernels))

    def effective(self, kernel: Kernel, value: Any, training: bool) -> Any:
        """W̄, the kernel that the layer computes with. Every wrapper has its own.

        Args:
            kernel: The `tfspecnorm.kernels.Kernel`; `kernel.linear_map.matrix(value)` is its matrix
                view, and `kernel.linear_map.kernel(matrix)` the way back.
            value: The raw kernel, a tensor of at least 32 bits.
            training: Whether the state may move, by `update`. A frozen kernel is in evaluation.

        Returns:
            Tensor of the same shape.
        """
        raise TypeError(f"{type(self).__name__} must define `effective`.")

    def create_state(self, kernel: Kernel) -> None:
        """Add the variables that a kernel needs, by `add_state`; by default none."""

    def add_state(
        self,
        kernel: Kernel,
        name: str,
        initializer: Callable[..., Any],
        shape: Sequence[int] = (),
        axes: Sequence[tuple[int, ...]] = (),
        **options: Any,
    ) -> keras.Variable:
        """Add a variable that belongs to a kernel.

        Args:
            kernel: The kernel.
            name: Name of the variable; the name of the kernel precedes it if there are several,
                with `-` in place of `/`.
            initializer: Function of a shape and a dtype, which may read the kernel. `restart` calls
                it again, and `warm_up` unless the variable is trained.
            shape: Shape of the variable.
            axes: For each of its axes the axes of the kernel that it counts, see
                `LinearMap.matrix_axes`: on several devices the variable is sharded as they are.
            **options: Other arguments of `add_weight`.
        """
        kernel_name = kernel.name.replace("/", "-")
        full = f"{kernel_name}_{name}" if len(self.kernels) > 1 else name
        with sharded_as(kernel.variable, full, shape, axes):
            variable = self.add_weight(
                name=full, shape=shape, initializer=initializer, autocast=False, **options
            )
        is_trained = options.get("trainable", True)
        if is_trained:
            # Made as a trained one, which it becomes when its layer is no longer frozen.
            variable.trainable = kernel.variable.trainable
        # TensorFlow's checkpoints save attributes only, not what a dict holds.
        setattr(self, f"{kernel_name}_{name}", variable)
        self._own.states.append(_State(variable, initializer, is_trained))
        return variable

    def update(self, variable: keras.Variable, value: Any) -> None:
        """Assign to a variable in `effective`.

        Raises:
            ValueError: Inside a loop that JAX traces, which no new value can leave.
        """
        if _shared_kernels.open_blocks and _shared_kernels.postpone(variable, value):
            return
        if TRACES_LOOPS and not outlives_loop(variable.value, value):
            raise ValueError(
                f"Layer '{self.name}' ({type(self).__name__}) cannot update '{variable.name}' "
                "inside a loop that JAX traces, such as the time steps of a cell. Pass "
                "`unroll=True` to `keras.layers.RNN`, or wrap the RNN layer as a whole and make "
                "its cell known by `tfspecnorm.kernels.register`."
            )
        variable.assign(value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernels": self._own.patterns}

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of the wrapped layer, which must be built."""
        described = self._own.described
        if described is None:
            return kernels_within(self.layer, self.per_gate, self._own.patterns).chosen
        return described.kernels

    @property
    def left_raw(self) -> list[tuple[keras.Variable, str]]:
        """Pairs of a matrix of the built layer that is none of the kernels, and the reason."""
        described = self._own.described
        return [] if described is None else described.left

    def effective_kernels(self) -> dict[str, Any]:
        """The kernels that the layer computes with in evaluation, by name.

        Returns:
            Dict from kernel name (`"kernel"`, `"depthwise_kernel"`, ...) to a tensor in the
            dtype of the variable.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self._check_built("effective_kernels")
        found = read_master(lambda: self._kernels_now(training=False))
        return {kernel.name: ops.cast(value, kernel.variable.dtype) for kernel, value in found}

    def warm_up(self) -> None:
        """Start the state anew from the kernels as they are now, but for trained variables.

        Call it before training goes on with kernels from elsewhere: with the vectors of other
        kernels the first training calls take σ for too small. Evaluation does not need it.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self._check_built("warm_up")
        self._initialize([state for state in self._own.states if not state.is_trained])

    def restart(self) -> None:
        """Start all variables of the wrapper itself anew, as if it were built with its kernels.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self._check_built("restart")
        self._initialize(self._own.states)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args:
            args = first_argument(self.layer, kwargs)
        if not self.built and not self.layer.built and args:
            shapes = build_shapes(self.layer, args, kwargs)
            if len(shapes) > 1:
                self.build(**shapes)
        if not self.built and args and not is_registered(self.layer) and not is_built(self.layer):
            self._build_by_call(args, kwargs)
            self.build()
        return super().__call__(*args, **kwargs)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        training = bool(training)
        if self.is_folded:
            outputs = self._call_folded(training, args, kwargs)
        else:
            if self._arrives_rounded():
                values = read_master(lambda: self._substitutes(training))
            else:
                values = self._substitutes(training)
            outputs = self._call_layer(values, args, kwargs)
        same = self.compute_dtype == self.layer.compute_dtype
        return outputs if same else self._in_compute_dtype(outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.layer.compute_mask(inputs, previous_mask)

    def _arrives_rounded(self) -> bool:
        """Whether values are rounded to half precision here, see Note [Master weights].

        Also a cheap look at what may have happened to the layer since it was built: a `ValueError`
        if it was quantized or has LoRA enabled.
        """
        described = self._own.described
        for part in described.parts:
            if getattr(part, "lora_enabled", False) or getattr(part, "quantization_mode", None):
                check_plain(part)
        for kernel, dtype in zip(described.kernels, described.dtypes, strict=True):
            if kernel.variable.dtype != dtype:
                return True
        return False

    def _substitutes(self, training: bool) -> dict[int, Any]:
        """What the layer reads in place of its variables, by the `id` of the variable."""
        values = {}
        gates: dict[int, list[Any]] = {}
        for kernel, value in self._kernels_now(training):
            key = id(kernel.variable)
            if kernel.part is not None:
                gates.setdefault(key, []).append(value)
                if len(gates[key]) < len(kernel.gates):
                    continue
                value = ops.concatenate(gates[key], axis=-1)
            values[key] = ops.cast(value, kernel.variable.dtype)
        return values

    def _kernels_now(self, training: bool) -> list[tuple[Kernel, Any]]:
        """Pairs of each kernel and W̄, shared or computed now."""
        if self.is_folded:
            return [(kernel, read_kernel(kernel)) for kernel in self.kernels]
        shared = _shared_kernels.find(self, training) if _shared_kernels.open_blocks else None
        if shared is None:
            tasks = self._tasks(training)
            measured = []
            # Plain loops, here and below: each call of a function is a part of what a step costs.
            for task in tasks:
                measured.append(task.norm.measure(task))
            return self._compute(training, tasks, measured)
        for variable, value in shared.updates:
            self.update(variable, value)
        return shared.kernels

    def _call_part(
        self,
        call: Callable[..., Any],
        variables: list[keras.Variable],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """The outputs of a layer in the layer, with what that computes with in evaluation."""
        values = read_master(lambda: self._substitutes(training=False))
        return self._call_layer(values, args, kwargs, (variables, call))

    def _call_layer(
        self,
        values: dict[int, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        part: tuple[list[keras.Variable], Callable[..., Any]] | None = None,
    ) -> Any:
        """The layer's outputs with other values of its variables, see Note [Substitution].

        Or those of a part of it, given by its variables and what calls it.
        """
        mapping, variables, layer = [], self.layer.variables, self.layer
        if part is not None:
            variables, layer = part
        elif self.is_attached:
            variables, layer = variables_alone(layer), call_alone(layer)
        if self._own.described.recurrent:
            variables = [*variables, *states_of(self._own.described.recurrent)]
        if self._own.described.has_metrics:
            variables = [*variables, *self.layer.metrics_variables]
        for variable in variables:
            value = values.get(id(variable))
            value = ops.convert_to_tensor(variable.value) if value is None else value
            mapping.append((variable, value))
        outputs, _, _ = run(
            functools.partial(layer, *args, **kwargs),
            mapping,
            assign=True,
            collect_losses=True,
            # A wrapper that is attached is no part of the model, its layer is.
            losses_to=self.layer if self.is_attached else self,
        )
        return outputs

    def _build_kernels(self) -> None:
        self._own.described = Described(self.layer, self.per_gate, self._own.patterns)
        if self._own.patterns is None and self.left_raw:
            left = [f"{variable.path}: {reason}" for variable, reason in self.left_raw]
            warnings.warn(
                f"{type(self).__name__} leaves {len(left)} matrices of layer '{self.layer.name}' "
                f"as they are: {left}. Argument `kernels` says which are meant.",
                stacklevel=2,
            )
        self._check_kernels()
        for kernel in self.kernels:
            self.create_state(kernel)

    def _tasks(self, training: bool) -> list[Task]:
        """What is to be measured before `_compute`: of a grouped model all at once."""
        return []

    def _compute(
        self, training: bool, tasks: Sequence[Task], measured: Sequence[Measurement]
    ) -> list[tuple[Kernel, Any]]:
        """Pairs of each kernel and W̄."""
        return [
            (kernel, self.effective(kernel, read_kernel(kernel), self._moves(kernel, training)))
            for kernel in self.kernels
        ]

    def _inputs(self) -> list[Any]:
        """The values of the variables that W̄ is computed from, but for what calls move."""
        variables = [kernel.variable for kernel in self.kernels]
        variables += [state.variable for state in self._own.states if state.is_trained]
        return [variable.value for variable in variables]

    def _moves(self, kernel: Kernel, training: bool) -> bool:
        """Whether a call moves the state; a frozen kernel is in evaluation at all times."""
        return training and self.trainable and kernel.variable.trainable

    def _initialize(self, states: Sequence[_State]) -> None:
        for variable, initializer, _ in states:
            variable.assign(initializer(variable.shape, variable.dtype))

    def _train_state(self, trained: bool) -> None:
        """Freeze the trained variables of the wrapper, or train them."""
        for variable, _, is_trained in self._own.states:
            if is_trained:
                variable.trainable = trained

    def _check_attachable(self) -> None:
        """Raise an `UnsuitableLayerError` for a layer that must be exchanged to be wrapped."""

    def _check_kernels(self) -> None:
        """Raise a `ValueError` if the kernels of the built layer are not what is wanted."""
