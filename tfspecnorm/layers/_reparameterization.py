"""The mechanism: a layer computes with kernels that are functions of its variables."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import tree

from tfspecnorm._backend.operations import ops, uncompiled
from tfspecnorm._backend.tracing import outlives_loop, outside_of_tracing
from tfspecnorm.kernels import Kernel, check_registered, held_by, kernels_of
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.registry import check_described
from tfspecnorm.layers._precision import dtypes_of, kernel_value, read_master
from tfspecnorm.layers._replaced_methods import never_recompute, refuse_other_kernels
from tfspecnorm.layers._together import ready_whole

# Note [Substitution]
# `layer.kernel = tensor` is impossible in Keras 3, and assigning to the variable would train
# something else than the raw kernel. Inside a `StatelessScope` every read of a variable gives
# the value mapped to it, so the wrapped layer runs unchanged on other kernels. The mapping
# must hold all variables of the layer: the scope hides the scope around it, which in a JAX
# training step is where the other weights and their gradients live. What the layer did inside
# (losses, updates of its state) is handed on afterwards.
#
# Note [Arguments]
# A wrapper is called as its layer is: with the first input by name, with tensors and options
# side by side. Keras sorts arguments by the signature of `call`, where `**kwargs` would be one
# nested argument, of tensors alone. The wrapper therefore shows Keras the layer's signature.


class Reparameterization(keras.layers.Wrapper):
    """Base of the wrappers: substitutes kernels for the time of a call.

    A subclass says what state each kernel needs (`create_state`) and what the layer computes
    with (`reparameterize`); it never sees how the substitution works.

    Args:
        layer: Keras layer of a registered class, not yet wrapped.
        **kwargs: `name`, `dtype`, `trainable`. The dtype policy defaults to the layer's.
    """

    # Whether each gate of a recurrent kernel is a kernel of its own.
    per_gate = False

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "Argument `layer` must be a Keras layer (an instance, not a class). "
                f"Received: layer={layer!r}"
            )
        for part in layers_in(layer):
            if isinstance(part, Reparameterization):
                raise ValueError(
                    "Argument `layer` must not be or hold a wrapper of its own kind: a kernel has "
                    f"one normalization. Received: layer={type(layer).__name__} named "
                    f"'{layer.name}' with {type(part).__name__} named '{part.name}'"
                )
        check_registered(layer)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = layer.dtype_policy
        kwargs.setdefault("trainable", layer.trainable)
        super().__init__(layer, autocast=False, **kwargs)
        # Whether the name is somebody's choice.
        self.is_named = kwargs.get("name") is not None
        # Of the layer's variables, known from the first call on.
        self._stored_dtypes: tuple[str, ...] | None = None
        # See Note [Arguments].
        self._call_signature = _signature(self.call, layer.call)
        self.supports_masking = layer.supports_masking
        self._replace_methods()

    def __getattr__(self, name: str) -> Any:
        # Reached for what does not exist. Answers of the layer in place of the wrapper would let
        # Keras quantize or adapt it; and a copy in the making has no layer yet.
        try:
            return super().__getattr__(name)
        except AttributeError:
            asked = name != "layer" and not name.startswith("_")
            layer = getattr(self, "layer", None) if asked else None
            if layer is None or not _has(layer, name):
                raise AttributeError(
                    f"'{type(self).__name__}' object has no attribute '{name}'"
                ) from None
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}': that of the layer inside "
            f"is `.layer.{name}`. The kernels that the layer computes with are "
            "`.effective_kernels()`."
        )

    def create_state(self, kernel: Kernel) -> None:
        """Add the variables that a kernel needs, by `self.add_state`."""
        raise TypeError(f"{type(self).__name__} must define `create_state`.")

    def add_state(self, kernel: Kernel, name: str, **options: Any) -> keras.Variable:
        """Add a variable that belongs to a kernel.

        Args:
            kernel: The kernel.
            name: Name of the variable; the name of the kernel precedes it if there are several.
            **options: Other arguments of `add_weight`.
        """
        prefix = f"{kernel.name}_" if len(self.kernels) > 1 else ""
        variable = self.add_weight(name=prefix + name, autocast=False, **options)
        # TensorFlow's checkpoints save attributes only, not what a dict holds.
        setattr(self, f"{kernel.name}_{name}", variable)
        return variable

    def reparameterize(self, kernel: Kernel, value: Any, training: bool) -> Any:
        """The kernel that the layer computes with, from the raw one in at least 32 bits."""
        raise TypeError(f"{type(self).__name__} must define `reparameterize`.")

    def warm_up(self) -> None:
        """Converge the state to the kernels as they are now; trainable variables stay."""
        raise TypeError(f"{type(self).__name__} must define `warm_up`.")

    def restart(self) -> None:
        """Start all variables of the wrapper itself from the kernels as they are now."""
        raise TypeError(f"{type(self).__name__} must define `restart`.")

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of the wrapped layer, which must be built."""
        return kernels_of(self.layer, self.per_gate)

    @property
    def state(self) -> list[keras.Variable]:
        """The variables of the wrapper itself: all but those of the wrapped layer."""
        inner = {id(variable) for variable in self.layer.weights}
        return [variable for variable in self.weights if id(variable) not in inner]

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The wrapped layer, which `summary(expand_nested=True)` shows."""
        return [self.layer]

    @property
    def input_spec(self) -> Any:
        """What the wrapped layer accepts, neither more nor less."""
        return self.layer.input_spec

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args:
            first = next(iter(inspect.signature(self.layer.call).parameters), None)
            args = (kwargs.pop(first),) if first in kwargs else ()
        if not self.built and not self.layer.built and args:
            shapes = _build_shapes(self.layer, args, kwargs)
            if len(shapes) > 1:
                self.build(**shapes)
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: Any = None, *others: Any, **shapes: Any) -> None:
        """Build the wrapped layer, with several shapes if it takes several inputs."""
        with outside_of_tracing():
            if not self.layer.built:
                if input_shape is None and shapes:
                    self.layer.build(**shapes)
                else:
                    self.layer.build(input_shape, *others, **shapes)
            # Some layers make those that they hold only now.
            self._replace_methods()
            check_described(self.layer, self.kernels)
            self.check_kernels()
            for kernel in self.kernels:
                self.create_state(kernel)

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refused, as `quantize` is: a `ValueError`."""

    def _replace_methods(self) -> None:
        for part in (self, *layers_in(self.layer)):
            refuse_other_kernels(part)
            never_recompute(part)

    def check_kernels(self) -> None:
        """Raise a `ValueError` if the kernels of the built layer are not what is wanted."""

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # The wrapper builds its layer, so that a copy is built when the wrapper is.
        config["layer"].pop("build_config", None)
        return config

    def load_own_variables(self, store: Any) -> None:
        if len(store) == 0 and self.state:
            raise ValueError(
                f"Layer '{self.name}' ({type(self).__name__}) has "
                f"{[variable.name for variable in self.state]} of its own, of which the file holds "
                "none. If it was saved from a plain model, load it into the plain model first, and "
                "wrap then: `model.load_weights(path)`, `model = tfspecnorm.wrap(model, ...)`."
            )
        super().load_own_variables(store)

    def get_build_config(self) -> dict[str, Any] | None:
        return self.layer.get_build_config() if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        if not self.layer.built:
            with keras.name_scope(self.name):
                self.layer.build_from_config(config)
        self.build()

    @uncompiled
    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        variables = self.layer.variables
        if self._stored_dtypes is None:
            self._stored_dtypes = read_master(lambda: dtypes_of(variables))
        values = read_master(
            lambda: self.substitutes(bool(training)),
            needed=self._stored_dtypes != dtypes_of(variables),
        )
        return self._in_compute_dtype(self.call_with(values, *args, **kwargs))

    def call_with(self, values: dict[int, Any], *args: Any, **kwargs: Any) -> Any:
        """The wrapped layer's outputs with other values of its variables, by their `id`."""
        mapping = [
            (variable, values.get(id(variable), ops.convert_to_tensor(variable.value)))
            for variable in self._read_by_layer()
        ]
        with keras.StatelessScope(
            mapping, collect_losses=True, initialize_variables=False
        ) as scope:
            before = [scope.get_current_value(variable) for variable, _ in mapping]
            outputs = self.layer(*args, **kwargs)
            after = [scope.get_current_value(variable) for variable, _ in mapping]
        self._hand_on_losses(scope)
        for (variable, _), old, new in zip(mapping, before, after, strict=True):
            if new is not old:
                variable.assign(new)
        return outputs

    def substitutes(self, training: bool) -> dict[int, Any]:
        """What the layer reads in place of its variables, by the `id` of the variable."""
        values: dict[int, list[Any]] = {}
        variables = {}
        for kernel, value in self._effective(training):
            variables[id(kernel.variable)] = kernel.variable
            values.setdefault(id(kernel.variable), []).append(value)
        return {
            key: ops.cast(
                parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1),
                variables[key].dtype,
            )
            for key, parts in values.items()
        }

    def effective_kernels(self) -> dict[str, Any]:
        """The kernels that the layer computes with in evaluation, by name.

        Returns:
            Dict from kernel name (`"kernel"`, `"depthwise_kernel"`, ...) to a tensor in the
            dtype of the variable.

        Raises:
            ValueError: If the wrapper is not built.
        """
        self.check_built("effective_kernels")
        found = read_master(lambda: self._effective(training=False))
        return {kernel.name: ops.cast(value, kernel.variable.dtype) for kernel, value in found}

    def folded_config(self) -> dict[str, Any]:
        """Configuration of the plain layer that computes what this wrapper does."""
        return self._folded_dtype(self.layer.get_config())

    def _folded_dtype(self, config: dict[str, Any]) -> dict[str, Any]:
        if self.compute_dtype != self.layer.compute_dtype:
            config["dtype"] = self.dtype_policy
        return config

    def folded_weights(self) -> list[Any]:
        """Weights of the plain layer that computes what this wrapper does in evaluation."""
        values = read_master(lambda: self.substitutes(training=False))
        return [values.get(id(variable), variable) for variable in self.layer.weights]

    def check_built(self, method: str) -> None:
        """Raise a `ValueError` that names the method if the wrapper is not built."""
        if not self.built:
            raise ValueError(
                f"`{method}` needs a built layer: call it on data or `build` it first. "
                f"Received: unbuilt layer '{self.name}'"
            )

    def _effective(self, training: bool) -> list[tuple[Kernel, Any]]:
        found = []
        for kernel in self.kernels:
            value = kernel_value(kernel)
            moving = self.moves(kernel, training)
            waiting = ready_whole(self, kernel, moving)
            if waiting is None:
                found.append((kernel, self.reparameterize(kernel, value, moving)))
            else:
                found.append((kernel, waiting.effective))
        return found

    def values_of(self, kernel: Kernel) -> tuple[Any, ...]:
        """The values of the variables that W̄ is computed from, but for what calls move."""
        own = [variable.value for variable in self.state if variable.trainable]
        return (kernel.variable.value, *own)

    def move(self, variable: keras.Variable, value: Any) -> None:
        """Assign to a variable in a call, or raise a `ValueError` where that cannot be."""
        if not outlives_loop(variable.value, value):
            raise ValueError(
                f"Layer '{self.name}' ({type(self).__name__}) cannot update '{variable.name}' "
                "inside a loop that JAX traces, such as the time steps of a cell. Pass "
                "`unroll=True` to `keras.layers.RNN`, or wrap the RNN layer as a whole and make "
                "its cell known by `tfspecnorm.kernels.register`."
            )
        variable.assign(value)

    def moves(self, kernel: Kernel, training: bool) -> bool:
        """Whether a call moves the state; a frozen kernel is in evaluation at all times."""
        return training and self.trainable and kernel.variable.trainable

    def _read_by_layer(self) -> list[keras.Variable]:
        """All variables of the layer; the states of a recurrent one are not among them."""
        # To search a layer takes as long as many small operations: only one that holds others.
        alone = held_by(self.layer) == [self.layer]
        states = [
            state
            for part in ([self.layer] if alone else layers_in(self.layer))
            if isinstance(part, keras.layers.RNN) and part.stateful
            for state in tree.flatten(part.states)
            if isinstance(state, keras.Variable)
        ]
        return [*self.layer.variables, *states]

    def _hand_on_losses(self, scope: keras.StatelessScope) -> None:
        """Losses of the wrapped layer count once: there if a scope collects them, else here."""
        outer = scope.original_scope
        if outer is None:
            if scope.losses:
                self.add_loss(scope.losses)
        elif outer.collect_losses:
            for loss in scope.losses:
                outer.add_loss(loss)

    def compute_output_spec(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        spec = self.layer.compute_output_spec(*args, **kwargs)
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


def _has(layer: keras.layers.Layer, name: str) -> bool:
    """Whether a layer has an attribute, or will have it once it is built."""
    return hasattr(type(layer), name) or hasattr(layer, name)


def _signature(own: Callable[..., Any], inner: Callable[..., Any]) -> inspect.Signature:
    """The inner signature, with the named arguments that the wrapper takes beside it."""
    wanted = inspect.signature(inner).parameters
    added = [
        part
        for name, part in inspect.signature(own).parameters.items()
        if part.kind is part.KEYWORD_ONLY and name not in wanted
    ]
    parameters = list(wanted.values())
    last = [part for part in parameters if part.kind is part.VAR_KEYWORD]
    return inspect.Signature([part for part in parameters if part not in last] + added + last)


def _build_shapes(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Shapes by the names under which the layer's `build` wants them."""
    taken = inspect.signature(layer.call).parameters
    kwargs = {name: kwargs[name] for name in kwargs if name in taken and name != "training"}
    wanted = inspect.signature(layer.build).parameters
    bound = inspect.signature(layer.call).bind_partial(*args, **kwargs).arguments
    return {
        f"{name}_shape": tree.map_structure(lambda tensor: tuple(tensor.shape), value)
        for name, value in bound.items()
        if f"{name}_shape" in wanted and value is not None
    }
