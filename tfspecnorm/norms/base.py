"""What every norm can do, and what it answers."""

import abc
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfspecnorm._backend.operations import outer
from tfspecnorm._util.configurable import Configurable
from tfspecnorm.norms.linear_map import LinearMap

# Below this a norm counts as zero: the smallest normal float32 number.
TINY = float(np.finfo("float32").tiny)

# What a norm's `guarantee` says of its value, as a norm of the map that it is meant to measure.
EXACT = "exact"
UPPER_BOUND = "upper bound"
ESTIMATE = "estimate"


class OuterProduct(NamedTuple):
    """A matrix of rank one in the matrix view of a kernel.

    Args:
        linear_map: `LinearMap` in whose matrix view the product stands.
        left: Tensor of shape `(..., inputs)`.
        right: Tensor of shape `(..., outputs)`.
    """

    linear_map: LinearMap
    left: Any
    right: Any

    @property
    def factors(self) -> tuple[Any, Any]:
        """The tensors; `kernel` is linear in the first one."""
        return self.left, self.right

    def kernel(self, left: Any, right: Any) -> Any:
        """The kernel that factors like these make."""
        return self.linear_map.kernel(outer(left, right))


class WholeKernel(NamedTuple):
    """A tensor of the shape of a kernel.

    Args:
        tensor: The tensor.
    """

    tensor: Any

    @property
    def factors(self) -> tuple[Any]:
        """The tensor."""
        return (self.tensor,)

    def kernel(self, tensor: Any) -> Any:
        """The tensor itself."""
        return tensor


class Measurement(NamedTuple):
    """A norm, the state to measure with next time, and the norm's gradient where it is known.

    Args:
        sigma: Scalar tensor, differentiable in the kernel.
        state: Dict from name to tensor, constants for the gradient.
        direction: Tuple of `OuterProduct`s and `WholeKernel`s whose sum is ∂σ/∂W; `None` if only
            automatic differentiation knows it.
        inverse: 1/σ, see `inverse_of`, where it is computed already; else `None`.
    """

    sigma: Any
    state: dict[str, Any]
    direction: tuple[OuterProduct | WholeKernel, ...] | None = None
    inverse: Any = None


class Norm(Configurable, abc.ABC):
    """How large a linear map is: base of all norms, and of norms of your own.

    A norm is an object without variables. What it tracks a moving kernel with is its *state*, a
    dict from name to tensor that the wrapper keeps: empty unless the norm says otherwise. Three
    methods are to be written, `guarantee`, `converged` and `measure`; `get_config` returns the
    constructor's arguments. Registered for serialization, it can be saved with the wrapper.

    Example, the Frobenius norm:

        σ(W) = √(Σ Wᵢⱼ²)

    Guarantee: *upper bound* of the norm of a matrix; *estimate* for a convolution.

    >>> import keras
    >>> from keras import ops
    >>> from tfspecnorm import layers, norms
    >>> @keras.saving.register_keras_serializable("my_package")
    ... class Frobenius(norms.Norm):
    ...     def guarantee(self, linear_map):
    ...         return norms.ESTIMATE if linear_map.convolves else norms.UPPER_BOUND
    ...
    ...     def converged(self, kernel, linear_map):
    ...         return float(np.linalg.norm(kernel))
    ...
    ...     def measure(self, task):
    ...         return norms.Measurement(ops.sqrt(ops.sum(ops.square(task.kernel))), task.state)
    >>> norms.measure(np.diag([3.0, 4.0]), norms.dense((2, 2)), Frobenius())
    5.0
    >>> layer = layers.SpectralNorm(keras.layers.Dense(4), norm=Frobenius())
    >>> layer.build((None, 3))
    >>> round(float(ops.norm(layer.effective_kernels()["kernel"])), 4)
    1.0
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Who measures in a way of its own does not inherit how several were measured before.
        names = {"measure", "measure_many"}
        first = next(vars(part) for part in cls.__mro__ if names & vars(part).keys())
        if "measure_many" not in first:
            cls.measure_many = staticmethod(_one_by_one)

    @abc.abstractmethod
    def guarantee(self, linear_map: LinearMap) -> str:
        """What the value is: `EXACT`, `UPPER_BOUND` or `ESTIMATE`."""

    @abc.abstractmethod
    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        """The norm of an array, converged, in double precision."""

    @abc.abstractmethod
    def measure(self, task: "Task") -> Measurement:
        """σ of the kernel of a `Task`, differentiable in it, and the next state.

        Without a `direction` σ is differentiated automatically.
        """

    def __call__(
        self,
        kernel: Any,
        state: dict[str, Any],
        linear_map: LinearMap,
        power_iterations: int = 0,
        jit_compile: bool = False,
    ) -> Measurement:
        """What `measure` says of a `Task` with these fields."""
        return self.measure(Task(self, kernel, state, linear_map, power_iterations, jit_compile))

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state; a `ValueError` if the norm does not fit the map."""
        return {}

    def state_axes(self, linear_map: LinearMap) -> dict[str, tuple[tuple[int, ...], ...]]:
        """For the axes of the state the axes of the kernel that they count, where there are any.

        A state is sharded over devices where these are.
        """
        return {}

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        """The converged state of an array, to start training with."""
        return {}

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        """The converged state of a stopped tensor whose largest entry is about 1."""
        return {}

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        """An upper bound of σ of such a tensor; σ itself if the norm does not know better."""
        return self(kernel, self.search(kernel, linear_map), linear_map).sigma

    def tracking(self, tracked_vectors: int) -> "Norm":
        """The same norm with so many vectors, if it tracks any; else itself."""
        return self

    @staticmethod
    def measure_many(tasks: Sequence["Task"]) -> list[Measurement]:
        """What each of several norms of this type says.

        One after the other, if the class that defines `measure` does not do better.
        """
        return _one_by_one(tasks)


class Task(NamedTuple):
    """A kernel to be measured, and how.

    Args:
        norm: `Norm`.
        kernel: Tensor of at least 32 bits.
        state: Dict from name to tensor: what the last measurement returned, or `search`.
        linear_map: `LinearMap` of the kernel.
        power_iterations: Number of steps from the state, 0 outside of training.
        jit_compile: Whether XLA compiles the iteration (TensorFlow).
        size: What the kernel was divided by: its norm is σ times that.
    """

    norm: Norm
    kernel: Any
    state: dict[str, Any]
    linear_map: LinearMap
    power_iterations: int = 0
    jit_compile: bool = False
    size: Any = 1.0

    def alone(self) -> Measurement:
        """What the norm says."""
        return self.norm.measure(self)


def measure_together(tasks: Sequence[Task]) -> list[Measurement]:
    """What each task's norm says, with as few operations as there can be.

    A step of a deep network measures many small kernels, and each operation has a price of its own.
    Matrix norms, bidirectional ones, and Fourier norms of depthwise kernels are computed together;
    other norms, and those of block-diagonal maps, one after the other.

    Args:
        tasks: Sequence of `Task`s.

    Returns:
        List of `Measurement`s, equal to those of the norms up to rounding.

    Example:

    >>> from tfspecnorm.norms import Matrix, dense
    >>> kernels = [np.diag([2.0, 1.0]).astype("float32"), np.diag([3.0, 1.0]).astype("float32")]
    >>> states = [Matrix().initial_state(kernel, dense((2, 2))) for kernel in kernels]
    >>> tasks = [Task(Matrix(), *each, dense((2, 2))) for each in zip(kernels, states)]
    >>> [round(float(measured.sigma), 4) for measured in measure_together(tasks)]
    [2.0, 3.0]
    """
    return measure_groups(
        tasks, lambda task: type(task.norm), lambda kind, members: kind.measure_many(members)
    )


def measure_groups(
    tasks: Sequence[Task],
    group_of: Callable[[Task], Hashable],
    measure: Callable[[Any, list[Task]], list[Measurement]],
) -> list[Measurement]:
    """The measurements of tasks in their order, by a function of a group and its members."""
    groups: dict[Hashable, list[int]] = {}
    for place, task in enumerate(tasks):
        groups.setdefault(group_of(task), []).append(place)
    found = {}
    for group, places in groups.items():
        members = measure(group, [tasks[place] for place in places])
        found.update(zip(places, members, strict=True))
    return [found[place] for place in range(len(tasks))]


def _one_by_one(tasks: Sequence[Task]) -> list[Measurement]:
    return [task.alone() for task in tasks]
