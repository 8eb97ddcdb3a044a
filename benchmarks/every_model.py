"""Count what `tfspecnorm.wrap` normalizes in models of keras-hub and `keras.applications`.

    KERAS_BACKEND=tensorflow .venv-hub/bin/python -m benchmarks.every_model

prints a Markdown table. Weights are random and sizes small; `--details` adds, for each family, the
layers that own matrices and those that hold other layers.
"""

import argparse
import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import keras

import tfspecnorm
from tests.hub import families
from tfspecnorm.kernels.containers import is_graph, layers_in
from tfspecnorm.kernels.holders import own_matrices
from tfspecnorm.kernels.registry import is_matrix
from tfspecnorm.layers import Reparameterization


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: The family.
        matrices: Number of matrices in the model; biases are none, whatever their shape.
        normalized: Number of matrices that `wrap` normalizes.
        raw: Paths of the others.
        error: What `wrap` says where it refuses the model.
    """

    name: str
    matrices: int
    normalized: int = 0
    raw: tuple[str, ...] = ()
    error: str = ""

    def __str__(self) -> str:
        rest = self.error or (f"{len(self.raw)}: {', '.join(self.raw)}" if self.raw else "none")
        return f"| {self.name} | {self.matrices} | {self.normalized} | {rest} |"


def matrices_of(model: keras.Model) -> list[keras.Variable]:
    """Every matrix of a model once, also where layers share it."""
    found = {id(v): v for v in model.weights if is_matrix(v) and v.dtype.startswith("float")}
    return list(found.values())


def measure(name: str) -> Row:
    """Wraps a family and counts."""
    model = families.FAMILIES[name]()
    count = len(matrices_of(model))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = tfspecnorm.wrap(model, tfspecnorm.layers.SpectralNorm)
    # Whatever it is: the table says so.
    except Exception as error:  # noqa: BLE001
        return Row(name, count, error=f"{type(error).__name__}: {str(error).split('. ')[0]}")
    wrappers = [part for part in layers_in(wrapped) if isinstance(part, Reparameterization)]
    known = {
        id(kernel.variable)
        for wrapper in wrappers
        for kernel in tfspecnorm.kernels.kernels_of(wrapper.layer)
    }
    state = {id(variable) for wrapper in wrappers for variable in wrapper.state}
    left = [v for v in matrices_of(wrapped) if id(v) not in known | state]
    return Row(name, count, len(known), tuple(variable.path for variable in left))


def walk(layer: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Attribute path and layer, of the layers in a layer, at any depth; shared ones repeatedly."""
    for name, part in _held_by(layer):
        inner = f"{path}.{name}" if path else name
        yield inner, part
        yield from walk(part, inner)


def _held_by(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    if is_graph(layer):
        yield from ((part.name, part) for part in layer.layers)
        return
    for name, value in vars(layer).items():
        # Lists of all of them that Keras, TensorFlow and PyTorch keep.
        if name not in ("_layers", "_modules", "_self_unconditional_dependency_names"):
            yield from _layers_in_value(name, value)


def _layers_in_value(name: str, value: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _layers_in_value(f"{name}[{key!r}]", part)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _layers_in_value(f"{name}[{index}]", part)


def print_details(name: str) -> None:
    """The layers with matrices of their own, and the layers that hold others."""
    model = families.FAMILIES[name]()
    print(f"\n### {name}\n")
    for path, layer in walk(model):
        kind = type(layer)
        own = [f"`{v.path.split('/')[-1]}` {tuple(v.shape)}" for v in own_matrices(layer)]
        held = [held_name for held_name, _ in _held_by(layer)]
        if own:
            known = tfspecnorm.kernels.is_registered(layer)
            print(
                f"- `{path}` {kind.__name__}, {'known' if known else 'unknown'}: {', '.join(own)}"
            )
        elif held and not is_graph(layer):
            build = "" if kind.build is not keras.layers.Layer.build else "; no `build` of its own"
            print(f"- `{path}` {kind.__name__} holds {', '.join(held)}{build}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(families.FAMILIES), metavar="FAMILY")
    parser.add_argument("--details", action="store_true", help="list the layers of each family")
    options = parser.parse_args()
    print("| family | matrices | normalized | left raw |\n|---|---|---|---|")
    for name in options.names:
        print(measure(name), flush=True)
    for name in options.names if options.details else ():
        print_details(name)


if __name__ == "__main__":
    main()
