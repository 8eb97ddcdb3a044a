"""Layers that hold layers: the one walk through what a model or a layer is made of."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras

from tfspecnorm.kernels.attachment import wrapper_around

# Where Keras, TensorFlow and PyTorch keep what attributes hold.
_TRACKED, _OF_TORCH = ("_layers/", "_self_"), "_modules/"
_HOLDING = (keras.layers.Layer, list, tuple, dict)

Parts = Callable[[keras.layers.Layer], list[tuple[str, keras.layers.Layer]]]


class Place(NamedTuple):
    """Where a walk meets a layer.

    Args:
        layer: The layer.
        path: Names that lead to it: of attributes, within a model of layers.
        around: The layers that it is in, without that in which the walk began.
        is_unit: Whether what it holds is a part of it, and is not met.
    """

    layer: keras.layers.Layer
    path: tuple[str, ...]
    around: tuple[keras.layers.Layer, ...]
    is_unit: bool


def is_graph(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "operations")
    )


def own_parts(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """The layers that are attributes of a layer, or in lists and dicts there, with their names.

    Keras lists the layers of a model but not those of a layer; its attributes tell.
    """
    found: dict[int, tuple[str, keras.layers.Layer]] = {}
    seen: set[int] = set()
    for attribute, value in vars(layer).items():
        for name, part in _named(attribute, value, seen) if isinstance(value, _HOLDING) else ():
            if id(part) not in found or found[id(part)][0].startswith(_TRACKED):
                found[id(part)] = name.removeprefix(_OF_TORCH), part
    return list(found.values())


def held_in(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """The same, but of a layer that is attached to a wrapper the wrapper, and the layer in that."""
    parts = own_parts(layer)
    outer = [(name, wrapper_around(part)) for name, part in parts]
    return parts if any(part is layer for _, part in outer) else outer


def _named(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, keras.layers.Layer]]:
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif id(value) not in seen:
        seen.add(id(value))
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, _HOLDING):
                yield from _named(f"{name}/{key}", part, seen)


def parts_of(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """The layers directly in a layer, with their names there; of a model those that it lists."""
    if isinstance(layer, keras.Model):
        return [(part.name, wrapper_around(part)) for part in layer.layers]
    return held_in(layer)


def walk(
    layer: keras.layers.Layer,
    is_unit: Callable[[keras.layers.Layer], bool] = lambda layer: False,
    parts: Parts = parts_of,
) -> Iterator[Place]:
    """The layers in a layer, each once, outer ones first.

    Args:
        layer: The layer, which is not among them.
        is_unit: Function that says whether a layer is not entered. What is in such a layer is not
            met elsewhere afterwards, either.
        parts: Function from a layer to what is directly in it, with its names.
    """
    seen = {id(layer)}
    waiting = [(part, (name,), ()) for name, part in reversed(parts(layer))]
    while waiting:
        part, path, around = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        place = Place(part, path, around, is_unit(part))
        yield place
        if place.is_unit:
            seen.update(id(inner) for inner in layers_in(part))
        else:
            inside = (*around, part)
            waiting += [(inner, (*path, name), inside) for name, inner in reversed(parts(part))]


def layers_in(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer and all layers that it holds, each once, outer ones first."""
    return [layer, *(place.layer for place in walk(layer, parts=held_in))]


def unique_names(found: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
    """A name for each pair of a name and the path to it, with the path where it is taken twice."""
    found = list(found)
    names = [name for name, _ in found]
    names = ["/".join((*path, name)) if names.count(name) > 1 else name for name, path in found]
    # Layers that a layer makes in its own code may have one name and one path.
    earlier = [names[:number].count(name) for number, name in enumerate(names)]
    return [
        f"{name}_{count + 1}" if count else name for name, count in zip(names, earlier, strict=True)
    ]
