"""A batch normalization that directly follows a layer, merged into that layer."""

import collections
import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm import kernels
from tfspecnorm.kernels import biases
from tfspecnorm.kernels.containers import is_graph, layers_in
from tfspecnorm.surgery.graph import Graph, graphs_in, tensors_in
from tfspecnorm.surgery.rebuild import NotExchangedError, assign, carry_over, rebuild


def followers(
    model: keras.Model, layers: list[keras.layers.Layer]
) -> dict[int, keras.layers.BatchNormalization]:
    """Of these layers those that a batch normalization can be merged into, by `id`.

    A batch normalization follows a layer if it takes the layer's output and nothing else does,
    and if both run once in the whole model.
    """
    chosen = {id(layer) for layer in layers}
    graphs = graphs_in(model)
    runs = collections.Counter(key for graph in graphs for key in _runs(graph))
    return {
        id(layer): follower
        for graph in graphs
        for layer, follower, rank in _neighbours(graph)
        if id(layer) in chosen
        and runs[id(layer)] == runs[id(follower)] == 1
        and _can_merge(layer, follower, rank)
    }


def merged(
    model: keras.Model, keeps_classes: bool = True
) -> tuple[keras.Model, list[tuple[keras.layers.Layer, keras.layers.BatchNormalization]]]:
    """The model with every batch normalization merged that directly follows a plain layer.

    Args:
        model: Built model without wrappers.
        keeps_classes: As in `rebuild`.

    Returns:
        The new model, or the given one if there is none, and the pairs of layer and follower.
    """
    layers = [layer for layer in layers_in(model) if kernels.is_registered(layer)]
    removed = followers(model, layers)
    if not removed:
        return model, []
    gone = {id(follower) for follower in removed.values()}
    try:
        new_model, pairs = rebuild(model, with_bias, set(removed), gone, keeps_classes)
    except NotExchangedError as error:
        names = sorted(follower.name for follower in removed.values())
        warnings.warn(f"Batch normalizations {names} are not folded. {error}", stacklevel=4)
        return model, []
    found = []
    for old, new in pairs:
        follower = removed.get(id(old))
        if follower is None:
            carry_over(old, new)
        else:
            assign(new.weights, merged_weights(old, follower), old)
            found.append((old, follower))
    return new_model, found


def with_bias(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer anew, without weights, with a bias."""
    return type(layer).from_config(biases.config_with_bias(layer))


def merged_weights(
    layer: keras.layers.Layer, follower: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Weights with which the layer, with a bias, computes what both compute in evaluation.

    s = γ / √(variance + ε),   kernel · s,   (bias − mean) · s + β
    """
    mean, variance = _array(follower.moving_mean), _array(follower.moving_variance)
    gamma = _array(follower.gamma) if follower.scale else np.ones_like(mean)
    beta = _array(follower.beta) if follower.center else np.zeros_like(mean)
    slope = gamma / np.sqrt(variance + follower.epsilon)
    # The kernel that makes the outputs is the last one: a separable convolution has two.
    last = kernels.kernels_of(layer)[-1]
    *blocks, _, outputs = last.linear_map.matrix_shape
    matrix = last.linear_map.matrix(_array(last.variable), np)
    kernel = last.linear_map.kernel(matrix * slope.reshape(*blocks, 1, outputs), np)
    bias = biases.bias_of(layer).variable
    offset = np.zeros_like(mean) if bias is None else _array(bias)
    weights = [
        kernel if variable is last.variable else _array(variable)
        for variable in layer.weights
        if variable is not bias
    ]
    return [*weights, (offset - mean) * slope + beta]


def _array(variable: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype("float64")


def _runs(graph: Graph) -> list[int]:
    """The `id` of a layer for each call of it in a graph, also of what a layer holds."""
    return [
        id(part)
        for call in graph.calls
        if isinstance(call.operation, keras.layers.Layer)
        for part in ([call.operation] if is_graph(call.operation) else layers_in(call.operation))
    ]


def _neighbours(graph: Graph) -> list[tuple[keras.layers.Layer, keras.layers.Layer, int]]:
    """A layer, the only layer that takes its only output, and the number of its axes."""
    makers = {key: call.operation for key, call in graph.makers().items()}
    uses = collections.Counter(id(makers.get(id(tensor))) for tensor in graph.outputs)
    pairs = []
    for call in graph.calls:
        kwargs = dict(call.kwargs)
        if _is_batch_normalization(call.operation):
            # Keras passes a mask on as an argument; it does not matter in evaluation.
            kwargs.pop("mask", None)
        tensors = tensors_in((call.args, kwargs))
        sources = [makers.get(id(tensor)) for tensor in tensors]
        uses.update(id(source) for source in sources)
        # With `training=True` a batch normalization never computes with its moving averages.
        if len(sources) == 1 and not kwargs.get("training"):
            pairs.append((sources[0], call.operation, len(tensors[0].shape)))
    single = {id(follower) for _, follower, _ in pairs}
    return [pair for pair in pairs if id(pair[0]) in single and uses[id(pair[0])] == 1]


def _can_merge(layer: keras.layers.Layer, follower: keras.layers.Layer, rank: int) -> bool:
    if not _is_batch_normalization(follower) or not biases.takes_bias(layer):
        return False
    if not biases.computes_as_keras(layer) or biases.activation_of(layer) is not None:
        return False
    bias = biases.bias_of(layer)
    *blocks, _, outputs = kernels.kernels_of(layer)[-1].linear_map.matrix_shape
    axis = follower.axis % rank
    return (
        len(bias.shape) == 1
        and axis == rank - len(bias.broadcast_shape)
        # A bias that several blocks share is no bias of each output.
        and bias.shape[0] == math.prod(blocks) * outputs
    )


def _is_batch_normalization(layer: Any) -> bool:
    """Whether a layer computes what Keras' batch normalization does: a subclass may do more."""
    known = keras.layers.BatchNormalization
    return isinstance(layer, known) and type(layer).call is known.call
