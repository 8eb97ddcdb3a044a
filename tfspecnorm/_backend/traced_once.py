"""Functions that graphs of TensorFlow hold once, however many kernels they are called for."""

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras

# Note [Traced once]
# Before the first step TensorFlow spends half a millisecond on each operation of a graph: it is
# traced in Python, and optimized. A norm and its gradient are a hundred operations for each
# kernel. A function is traced once, and a call is one operation, in whose place TensorFlow puts
# the function's when it optimizes. (Left apart they would be optimized once, too, but each call
# then costs 14 microseconds in every step.)
#
# A custom gradient keeps the graph in which it is defined for good. In such a function that is
# a small graph, not that of a model, and all models share it.
#
# In bodies of loops and branches nothing is a function: XLA cannot compile second derivatives of
# a loop whose calls hand over shapes, which a loop stores as if they changed.

# Functions that are kept, the latest ones; a graph keeps those that it calls, too.
_KEPT = 256


def traced_once(
    sizes_matter: bool = False, always: bool = False
) -> Callable[..., Callable[..., Any]]:
    """Decorator of a pure function of tensors, see Note [Traced once].

    Tensors are its positional arguments; what it is called with by name is hashable, but for
    `shapes`, which it does not see: those of the tensors that it returns, where the caller does
    not reshape them. The tensors' numbers of axes must be known.

    Args:
        sizes_matter: Whether tensors of other sizes make a function of their own. Else the
            function knows no more than their numbers of axes.
        always: Whether it is one operation outside of graphs, too, on TensorFlow and JAX: where
            many operations have no gradient, or loops, which JAX would compile anew in each call.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.lru_cache(maxsize=_KEPT)
        def traced(specs: tuple[Any, ...], options: tuple[tuple[str, Hashable], ...]) -> Any:
            return _traced(functools.partial(function, **dict(options)), specs)

        @functools.wraps(function)
        def call(
            *tensors: Any,
            shapes: Sequence[tuple[int, ...]] | None = None,
            **options: Hashable,
        ) -> Any:
            if always and keras.backend.backend() == "jax":
                return _compiled_by_jax(function, tuple(options))(*tensors, **options)
            if not (_in_a_graph() or always and _runs_eagerly()):
                return function(*tensors, **options)
            import tensorflow as tf

            # To Keras a variable is a tensor.
            tensors = tuple(map(tf.convert_to_tensor, tensors))
            specs = tuple(
                tf.TensorSpec(part.shape if sizes_matter else [None] * len(part.shape), part.dtype)
                for part in tensors
            )
            found = traced(specs, tuple(options.items()))(*tensors)
            for part, shape in zip(tf.nest.flatten(found), shapes or (), strict=shapes is not None):
                part.set_shape(shape)
            return found

        return call

    return decorate


def _runs_eagerly() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


def _in_a_graph() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    # Graphs of control flow have no public name.
    kind = type(tf.compat.v1.get_default_graph()).__name__
    return not ("Body" in kind or "Branch" in kind)


@functools.cache
def _compiled_by_jax(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    import jax

    return jax.jit(function, static_argnames=names)


def _traced(function: Callable[..., Any], specs: tuple[Any, ...]) -> Callable[..., Any]:
    import tensorflow as tf

    with tf.init_scope():
        traced = tf.function(function, input_signature=specs, autograph=False)
        return traced.get_concrete_function()
