"""Files of HDF5 that Keras 2 wrote, in the older format and in that of `.keras`."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfspecnorm.kernels.containers import is_graph
from tfspecnorm.layers import WeightNorm
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.migration._stored import (
    Stored,
    another_kind,
    different_layers,
    leaves,
    normalized_name,
    weighted,
)


def from_hdf5(path: str, file: Any, model: keras.Model) -> list[tuple[keras.layers.Layer, Stored]]:
    root = file["model_weights"] if "model_weights" in file else file
    if _attribute(root, "layer_names"):
        return _from_named_groups(path, root, model)
    if "layers" in file:
        return _from_numbered_groups(path, file, model)
    raise another_kind(path, f"with the groups {sorted(file)}")


def _from_named_groups(
    path: str, root: Any, model: keras.Model
) -> list[tuple[keras.layers.Layer, Stored]]:
    """The older format: groups of named variables, one for each layer of the outermost model."""
    groups = {
        name: [(key, np.asarray(root[name][key])) for key in _attribute(root[name], "weight_names")]
        for name in _attribute(root, "layer_names")
    }
    groups = {name: variables for name, variables in groups.items() if variables}
    layers = weighted(model)
    if len(layers) != len(groups):
        raise different_layers(path, [layer.name for layer in layers], list(groups))
    pairs = []
    for layer, (name, variables) in zip(layers, groups.items(), strict=True):
        if is_graph(layer):
            pairs += _nested(path, layer, name, variables)
        else:
            pairs.append((layer, _named(name, variables)))
    return pairs


def _nested(
    path: str, model: Any, name: str, variables: list[tuple[str, np.ndarray]]
) -> list[tuple[keras.layers.Layer, Stored]]:
    """A model in the model: all its trained variables come first, then all others."""
    runs = [part for part, _ in itertools.groupby(key.partition("/")[0] for key, _ in variables)]
    parts = {part: [pair for pair in variables if pair[0].startswith(f"{part}/")] for part in runs}
    again = next((i for i, part in enumerate(runs) if part in runs[:i]), len(runs))
    untrained = {part for part in runs[again:] if part not in runs[:again]}
    if again < len(runs):
        stateful = {part for part, found in parts.items() if _has_state(found)}
        untrained |= {part for part in stateful if runs.count(part) == 1}
    if untrained:
        raise another_kind(
            path,
            f"in which {sorted(untrained)} in the model '{name}' have no trained variables, which "
            "hides the order of its layers: unfreeze them and save it again",
        )
    layers = list(leaves(model))
    if len(layers) != len(parts):
        raise different_layers(path, [layer.name for layer in layers], list(parts))
    return [
        (layer, _named(part, found))
        for layer, (part, found) in zip(layers, parts.items(), strict=True)
    ]


def _has_state(variables: list[tuple[str, np.ndarray]]) -> bool:
    return any(
        key.endswith(("/sn_u:0", "/initialized:0", "/moving_mean:0")) for key, _ in variables
    )


def _named(name: str, variables: list[tuple[str, np.ndarray]]) -> Stored:
    """Without the untrained twin that weight normalization keeps for its first batch."""
    kept = [(key, value) for key, value in variables if "data_dep_init" not in key.split("/")]
    names = [key.split("/")[-1].partition(":")[0] for key, _ in kept]
    values = [value for _, value in kept]
    return Stored(name, list(zip(names, values, strict=True)), True, len(kept) < len(variables))


def _attribute(group: Any, name: str) -> list[str]:
    """A list of names; Keras writes a long one in parts."""
    values = group.attrs.get(name)
    if values is None:
        parts: list[str] = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(f"{name}{len(parts)}")
        values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _from_numbered_groups(
    path: str, file: Any, model: keras.Model
) -> list[tuple[keras.layers.Layer, Stored]]:
    """The newer format: groups named after the layers' classes, with numbered variables."""
    wanted = dict(_by_class(model, "layers"))
    found = dict(_containers(file["layers"], "layers"))
    if set(wanted) != set(found):
        raise different_layers(path, sorted(wanted), sorted(found))
    return [(layer, _numbered(path, name, layer, found[name])) for name, layer in wanted.items()]


def _by_class(model: Any, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers with weights by the names that Keras 2 gave to their groups."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        name = type(layer).__name__
        if isinstance(layer, Reparameterization):
            weight = isinstance(layer, WeightNorm)
            name = "WeightNormalization" if weight else "SpectralNormalization"
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = counts.get(name, 0)
        counts[name] = count + 1
        key = f"{prefix}/{name}_{count}" if count else f"{prefix}/{name}"
        if is_graph(layer):
            yield from _by_class(layer, f"{key}/layers")
        elif layer.weights:
            yield key, layer


def _containers(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, part in group.items():
        if "layers" in part:
            yield from _containers(part["layers"], f"{prefix}/{name}/layers")
        elif any(values for _, values in _variables(part, "")):
            yield f"{prefix}/{name}", part


def _variables(group: Any, prefix: str) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The variables of a layer and of the layers in it, by the path to each."""
    for name, part in group.items():
        if name == "vars":
            yield prefix, [np.asarray(part[str(number)]) for number in range(len(part))]
        elif hasattr(part, "items"):
            yield from _variables(part, f"{prefix}/{name}" if prefix else name)


def _numbered(path: str, name: str, layer: Any, group: Any) -> Stored:
    """Names the variables as in the other formats, by their positions."""
    found = {key: values for key, values in _variables(group, "") if values}
    data_init = any(key.startswith("_naked_clone_layer") for key in found)
    found = {
        key: values for key, values in found.items() if not key.startswith("_naked_clone_layer")
    }
    named: list[tuple[str, np.ndarray]] = []
    inner = layer
    if isinstance(layer, Reparameterization):
        inner = layer.layer
        own = ("g", "v", "initialized") if isinstance(layer, WeightNorm) else ("w", "sn_u")
        values = found.pop("", [])
        if len(values) != len(own):
            raise another_kind(path, f"with {len(values)} variables in '{name}'")
        named = list(zip(own, values, strict=True))
    if len(found) > 1:
        raise another_kind(
            path, f"in which '{name}' holds several layers: save the weights as `.h5` instead"
        )
    values = next(iter(found.values()), [])
    names = [variable.name for variable in inner.weights]
    if named:
        kernel = normalized_name(inner)
        if len(values) == len(names):  # The kernel stands in both groups.
            values = [value for key, value in zip(names, values, strict=True) if key != kernel]
        names = [key for key in names if key != kernel]
    if len(values) != len(names):
        raise another_kind(path, f"with {len(values)} variables in '{name}', not {len(names)}")
    return Stored(name, [*named, *zip(names, values, strict=True)], True, data_init)
