"""A layer around a layer, which shows Keras what the inner one is."""

from typing import Any

import keras
import numpy as np
from keras import tree

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.tracing import outside_of_tracing
from tfspecnorm.kernels.attachment import plain_class, variables_alone, wrapper_around
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.description import check_may_hold_kernels
from tfspecnorm.layers._call_arguments import (
    build_from_config,
    is_built,
    join_signatures,
    shapes_of,
)
from tfspecnorm.layers._replaced_methods import never_recompute, refuse_other_kernels


class WrappedLayer(keras.layers.Wrapper):
    """Base of the wrappers: built, called, saved and masked as the layer inside.

    Args:
        layer: Keras layer of a registered class, not yet wrapped.
        **kwargs: `name`, `dtype`, `trainable`. The dtype policy defaults to the layer's.
    """

    # Whether the layer stays where it is and calls the wrapper, see Note [Attached layers].
    is_attached = False
    # Whether the wrapper only calls its layer, which has the effective kernels; kept in files.
    is_folded = False

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        _check_layer(layer)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = layer.dtype_policy
        kwargs.setdefault("trainable", layer.trainable)
        super().__init__(layer, autocast=False, **kwargs)
        # Whether the name is somebody's choice.
        self._is_named = kwargs.get("name") is not None
        # See Note [Arguments].
        self._call_shapes: dict[str, Any] | None = None
        self._call_signature = join_signatures(self.call, layer.call)
        self.supports_masking = layer.supports_masking
        # What the layer accepts, neither more nor less.
        self.input_spec = layer.input_spec
        self._replace_methods()

    def __getattr__(self, name: str) -> Any:
        # Reached for what does not exist. Answers of the layer in place of the wrapper would let
        # Keras quantize or adapt it; and a copy in the making has no layer yet.
        try:
            return super().__getattr__(name)
        except AttributeError:
            asked = name != "layer" and not name.startswith("_")
            layer = getattr(self, "layer", None) if asked else None
            # An attribute may come with the building.
            if layer is None or not (hasattr(type(layer), name) or hasattr(layer, name)):
                raise AttributeError(
                    f"'{type(self).__name__}' object has no attribute '{name}'"
                ) from None
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}': that of the layer inside "
            f"is `.layer.{name}`. The kernels that the layer computes with are "
            "`.effective_kernels()`."
        )

    @property
    def state(self) -> list[keras.Variable]:
        """The variables of the wrapper itself: all but those of the wrapped layer."""
        inner = {id(variable) for variable in variables_alone(self.layer)}
        return [variable for variable in self.weights if id(variable) not in inner]

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The wrapped layer, which `summary(expand_nested=True)` shows."""
        return [self.layer]

    def build(self, input_shape: Any = None, *others: Any, **shapes: Any) -> None:
        """Build the wrapped layer, with several shapes if it takes several inputs."""
        with outside_of_tracing():
            if not self.layer.built:
                if input_shape is None and shapes:
                    self.layer.build(**shapes)
                else:
                    self.layer.build(input_shape, *others, **shapes)
            if input_shape is not None and not others and not is_built(self.layer):
                self._build_by_call([keras.KerasTensor(input_shape, self.compute_dtype)], {})
            self.input_spec = self.layer.input_spec
            # Some layers make those that they hold only now.
            _check_not_wrapped(self.layer)
            self._replace_methods()
            self._build_kernels()

    def _build_by_call(self, args: Any, kwargs: dict[str, Any]) -> None:
        """Build the layer, and those in it, by a call on tensors of which only shapes are known.

        A layer without a `build` of its own leaves it to its first call to build what is in it.
        The shapes are the wrapper's build configuration: Keras has none from which such a layer
        could be built.
        """
        self._call_shapes = shapes_of(args, kwargs)
        with outside_of_tracing(), keras.name_scope(self.name):
            build_from_config(self.layer, self._call_shapes)

    def _build_kernels(self) -> None:
        """Add the variables that the kernels of the built layer need."""

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refused, as `quantize` is: a `ValueError`."""

    def compute_output_spec(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        spec = self.layer.compute_output_spec(*args, **kwargs)
        return self._in_compute_dtype(spec)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer.compute_output_shape(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = keras.layers.Layer.get_config(self)
        if not self.is_attached:
            config["layer"] = keras.saving.serialize_keras_object(self.layer)
            # The wrapper builds its layer, so that a copy is built when the wrapper is.
            config["layer"].pop("build_config", None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        layer = config.pop("layer")
        if not isinstance(layer, keras.layers.Layer):
            layer = keras.saving.deserialize_keras_object(layer, custom_objects)
        return cls(layer, **config)

    def get_build_config(self) -> dict[str, Any] | None:
        if not self.built:
            return None
        return self._call_shapes or self.layer.get_build_config()

    def build_from_config(self, config: dict[str, Any]) -> None:
        if "call" in config:
            self._call_shapes = config
        if not is_built(self.layer):
            with keras.name_scope(self.name):
                build_from_config(self.layer, config)
        self.build()

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        self.save_whether_folded(store)

    def load_own_variables(self, store: Any) -> None:
        if len(store) == 0 and self.state:
            raise self._state_missing()
        stored = {name: store[name] for name in store.keys()}
        self.load_whether_folded(stored)
        super().load_own_variables(stored)

    def save_whether_folded(self, store: Any) -> None:
        """Store it, which no configuration says of a wrapper that somebody's code makes."""
        if self.is_folded:
            store["is_folded"] = np.ones(())

    def load_whether_folded(self, stored: dict[str, Any]) -> None:
        """Take it out of what was stored."""
        self.is_folded = stored.pop("is_folded", None) is not None

    def _state_missing(self) -> ValueError:
        return ValueError(
            f"Layer '{self.name}' ({type(self).__name__}) has "
            f"{[variable.name for variable in self.state]} of its own, of which the file holds "
            "none. If it was saved from a plain model, load it into the plain model first, and "
            "wrap then: `model.load_weights(path)`, `model = tfspecnorm.wrap(model, ...)`."
        )

    def _check_built(self, method: str) -> None:
        """Raise a `ValueError` that names the method if the wrapper is not built."""
        if not self.built:
            raise ValueError(
                f"`{method}` needs a built layer: call it on data or `build` it first. "
                f"Received: unbuilt layer '{self.name}'"
            )

    def _replace_methods(self) -> None:
        for part in (self, *layers_in(self.layer)):
            refuse_other_kernels(part)
            never_recompute(part)

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


def _check_layer(layer: keras.layers.Layer) -> None:
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "Argument `layer` must be a Keras layer (an instance, not a class). "
            f"Received: layer={layer!r}"
        )
    _check_not_wrapped(layer)
    check_may_hold_kernels(layer)


def _check_not_wrapped(layer: keras.layers.Layer) -> None:
    for part in [wrapper_around(layer), *layers_in(layer)]:
        if isinstance(part, WrappedLayer):
            raise ValueError(
                "Argument `layer` must not be or hold a wrapper of its own kind: a kernel has "
                f"one normalization. Received: layer={plain_class(layer).__name__} named "
                f"'{layer.name}' with {type(part).__name__} named '{part.name}'"
            )
