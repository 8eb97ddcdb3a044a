"""Count what `tfspecnorm.wrap` normalizes in models of keras-hub and `keras.applications`.

    KERAS_BACKEND=tensorflow .venv-hub/bin/python -m benchmarks.every_model

prints the Markdown table of `docs/models.md`. Weights are random and sizes small.
"""

import argparse
import warnings

import keras

import tfspecnorm
from tests.hub import families
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import Reparameterization

HEADER = "| model | matrices | normalized | left raw |\n|---|---|---|---|"


def row(name: str, plain: keras.Model, wrapped: keras.Model) -> str:
    """Line of the table for a model."""
    wrappers = [part for part in layers_in(wrapped) if isinstance(part, Reparameterization)]
    normalized = sum(len(wrapper.kernels) for wrapper in wrappers)
    left = [f"`{matrix.path}`" for matrix in tfspecnorm.raw_matrices(wrapped)]
    count = len(tfspecnorm.raw_matrices(plain))
    return f"| {name} | {count} | {normalized} | {', '.join(left) or 'none'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(families.FAMILIES), metavar="FAMILY")
    options = parser.parse_args()
    print(HEADER)
    warnings.simplefilter("ignore")
    for name in options.names:
        plain = families.FAMILIES[name]()
        wrapped = tfspecnorm.wrap(plain, tfspecnorm.layers.SpectralNorm)
        print(row(name, plain, wrapped), flush=True)


if __name__ == "__main__":
    main()
