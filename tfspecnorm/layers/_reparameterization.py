"""The mechanism: a layer computes with kernels that are functions of its variables."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from tfspecnorm import kernels

# Note [Substitution]
# `layer.kernel = tensor` is impossible in Keras 3, and assigning to the variable would train
# something else than the raw kernel. Inside a `StatelessScope` every read of a variable gives
# the value mapped to it, so the wrapped layer runs unchanged on other kernels. The mapping
# must hold all variables of the layer: the scope hides the scope around it, which in a JAX
# training step is where the other weights and their gradients live. What the layer did inside
# (losses, updates of its state) is handed on afterwards.
#
# Note [Master weights]
# In a mixed-precision model `variable.value` arrives rounded to half precision. A layer whose
# dtype is float32 and that does not autocast reads what is stored.


class Reparameterization(keras.layers.Wrapper):
    """Base of the wrappers: substitutes kernels for the time of a call.

    A subclass says what state each kernel needs (`create_state`) and what the layer computes
    with (`reparameterize`); it never sees how the substitution works.

    Args:
        layer: Keras layer of a registered class, not yet wrapped.
        **kwargs: `name`, `dtype`, `trainable`. The dtype policy defaults to the layer's.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "Argument `layer` must be a Keras layer (an instance, not a class). "
                f"Received: layer={layer!r}"
            )
        if isinstance(layer, Reparameterization):
            raise ValueError(
                "Argument `layer` must not be a wrapper of its own kind: a kernel has one "
                f"normalization. Received: layer={type(layer).__name__} named '{layer.name}'"
            )
        kernels.check_registered(layer)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = layer.dtype_policy
        super().__init__(layer, autocast=False, **kwargs)
        self.supports_masking = layer.supports_masking

    def create_state(self, kernel: kernels.Kernel) -> None:
        """Add the variables that a kernel needs, by `self.add_weight`."""
        raise TypeError(f"{type(self).__name__} must define `create_state`.")

    def reparameterize(self, kernel: kernels.Kernel, value: Any, training: bool) -> Any:
        """The kernel that the layer computes with, from the raw one in at least 32 bits."""
        raise TypeError(f"{type(self).__name__} must define `reparameterize`.")

    def warm_up(self) -> None:
        """Converge the state to the kernels as they are now; trainable variables stay."""
        raise TypeError(f"{type(self).__name__} must define `warm_up`.")

    def restart(self) -> None:
        """Start all variables of the wrapper itself from the kernels as they are now."""
        raise TypeError(f"{type(self).__name__} must define `restart`.")

    @property
    def state(self) -> list[keras.Variable]:
        """The variables of the wrapper itself: all but those of the wrapped layer."""
        inner = {id(variable) for variable in self.layer.weights}
        return [variable for variable in self.weights if id(variable) not in inner]

    @property
    def input_spec(self) -> Any:
        """What the wrapped layer accepts, neither more nor less."""
        return self.layer.input_spec

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.built and not self.layer.built:
            shapes = _build_shapes(self.layer, (inputs, *args), kwargs)
            if len(shapes) > 1:
                self.build(**shapes)
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any = None, **shapes: Any) -> None:
        """Build the wrapped layer, with several named shapes if it takes several inputs."""
        if not self.layer.built:
            if shapes:
                self.layer.build(**shapes)
            else:
                self.layer.build(input_shape)
        for kernel in kernels.kernels_of(self.layer):
            self.create_state(kernel)

    def get_build_config(self) -> dict[str, Any] | None:
        return self.layer.get_build_config()

    def build_from_config(self, config: dict[str, Any]) -> None:
        if not self.layer.built:
            self.layer.build_from_config(config)
        self.build()

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        found = kernels.kernels_of(self.layer)
        mapping = read_master(lambda: self._mapping(found, bool(training)))
        with keras.StatelessScope(
            mapping, collect_losses=True, initialize_variables=False
        ) as scope:
            before = [scope.get_current_value(variable) for variable, _ in mapping]
            outputs = self.layer(inputs, *args, **kwargs)
            after = [scope.get_current_value(variable) for variable, _ in mapping]
        self._hand_on_losses(scope)
        for (variable, _), old, new in zip(mapping, before, after, strict=True):
            if new is not old:
                variable.assign(new)
        return self._in_compute_dtype(outputs)

    def effective_kernels(self) -> dict[str, Any]:
        """The kernels that the layer computes with in evaluation, by name.

        Returns:
            Dict from kernel name (`"kernel"`, `"depthwise_kernel"`, ...) to a tensor in the
            dtype of the variable.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("effective_kernels")
        found = kernels.kernels_of(self.layer)
        values = read_master(lambda: self._effective(found, training=False))
        return {kernel.name: value for kernel, value in zip(found, values, strict=True)}

    def check_built(self, method: str) -> None:
        """Raise a `ValueError` that names the method if the wrapper is not built."""
        if not self.built:
            raise ValueError(
                f"`{method}` needs a built layer: call it on data or `build` it first. "
                f"Received: unbuilt layer '{self.name}'"
            )

    def _effective(self, found: list[kernels.Kernel], training: bool) -> list[Any]:
        values = []
        for kernel in found:
            # A frozen kernel is in evaluation, whatever the model around it does.
            moving = training and self.trainable and kernel.variable.trainable
            value = at_least_32_bits(kernel.variable.value)
            value = self.reparameterize(kernel, value, moving)
            values.append(ops.cast(value, kernel.variable.dtype))
        return values

    def _mapping(
        self, found: list[kernels.Kernel], training: bool
    ) -> list[tuple[keras.Variable, Any]]:
        values = self._effective(found, training)
        substituted = {
            id(kernel.variable): value for kernel, value in zip(found, values, strict=True)
        }
        # The states of a stateful recurrent layer are not among its variables.
        states = [
            state
            for state in tree.flatten(getattr(self.layer, "states", None))
            if isinstance(state, keras.Variable)
        ]
        return [
            (variable, substituted.get(id(variable), ops.convert_to_tensor(variable.value)))
            for variable in [*self.layer.variables, *states]
        ]

    def _hand_on_losses(self, scope: keras.StatelessScope) -> None:
        """Losses of the wrapped layer count once: there if a scope collects them, else here."""
        outer = scope.original_scope
        if outer is None:
            if scope.losses:
                self.add_loss(scope.losses)
        elif outer.collect_losses:
            for loss in scope.losses:
                outer.add_loss(loss)

    def compute_output_spec(
        self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any
    ) -> Any:
        spec = self.layer.compute_output_spec(inputs, *args, **kwargs)
        return self._in_compute_dtype(spec)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.layer.compute_mask(inputs, previous_mask)

    def _in_compute_dtype(self, outputs: Any) -> Any:
        if self.compute_dtype == self.layer.compute_dtype:
            return outputs

        def cast(tensor: Any) -> Any:
            if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
                return tensor
            if isinstance(tensor, keras.KerasTensor):
                return keras.KerasTensor(tensor.shape, self.compute_dtype)
            return ops.cast(tensor, self.compute_dtype)

        return tree.map_structure(cast, outputs)


class _MasterScope(keras.layers.Layer):
    """See Note [Master weights]."""

    def __init__(self) -> None:
        super().__init__(dtype="float32", autocast=False, name="master")

    def call(self, inputs: Any, function: Callable[[], Any]) -> Any:
        return function()


def read_master(function: Callable[[], Any]) -> Any:
    """Run a function in which `variable.value` is what is stored, see Note [Master weights]."""
    return _master_scope()(None, function=function)


@functools.cache
def _master_scope() -> _MasterScope:
    return _MasterScope()


def at_least_32_bits(value: Any) -> Any:
    """A tensor in float32, or in float64 if it was: the precision of norms and their state."""
    value = ops.convert_to_tensor(value)
    dtype = state_dtype(value.dtype)
    return (
        value if keras.backend.standardize_dtype(value.dtype) == dtype else ops.cast(value, dtype)
    )


def state_dtype(dtype: Any) -> str:
    """The dtype of the state that belongs to a kernel of a dtype."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def _build_shapes(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Shapes by the names under which the layer's `build` wants them."""
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    wanted = inspect.signature(layer.build).parameters
    bound = inspect.signature(layer.call).bind_partial(*args, **kwargs).arguments
    return {
        f"{name}_shape": tree.map_structure(lambda tensor: tuple(tensor.shape), value)
        for name, value in bound.items()
        if f"{name}_shape" in wanted and value is not None
    }
