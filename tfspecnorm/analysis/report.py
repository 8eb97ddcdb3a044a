"""How large every kernel of a model really is."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfspecnorm import norms
from tfspecnorm._util.arguments import check_boolean, check_model
from tfspecnorm.analysis import _rendering
from tfspecnorm.analysis._decomposition import Extremes, extremes
from tfspecnorm.analysis._inventory import Place, places
from tfspecnorm.analysis._linear import ROUNDING, certified_norm
from tfspecnorm.analysis._records import KernelRecord, SpectralReport
from tfspecnorm.analysis._walk import Call, Passed, input_signals, walk
from tfspecnorm.kernels import Kernel
from tfspecnorm.kernels.attachment import plain_class
from tfspecnorm.kernels.undescribed import why_undescribed
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._listing import plain
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.surgery.graph import runs_its_layers

# Largest singular values of large images lie close together: beyond this many entries of the
# smaller side ARPACK takes minutes where a short iteration takes seconds.
_EXACT_ENTRIES = 4096
# Multiplications in one application of a convolution above which the bound stands alone.
_ESTIMATE_WORK = 1e9
# Up to this smaller side all singular values of a matrix take no longer than the largest.
_DECOMPOSED = 512


def spectral_report(
    model: keras.Model, input_shape: Any = None, progress: bool = False
) -> SpectralReport:
    """The norms of every kernel of a model, as it is used in evaluation.

    Every matrix of the model has a row, also those of layers that are held by layers of your own. A
    matrix that nobody described, such as a position table or a class token, has no norms and a
    `reason`. Biases, and weights that multiply entry by entry, are no matrices.

    For a wrapped layer these are the norms of what the wrapper makes of the kernel. The method
    follows the size: convolutions of up to 4096 entries on the smaller side are decomposed
    (`norms.exact`), those of up to 1e9 multiplications are estimated from below by a short
    iteration, beyond that they are bounded only.

    Guarantee: `matrix_norm` and `smallest_singular_value` are *exact* to 1e-6, `certified_bound` is
    an *upper bound* of the layer's map, `operator_norm` what `operator_guarantee` says.

    Args:
        model: Built Keras model.
        input_shape: Shape of an input without the batch axis, or a list of them for several inputs,
            for a Sequential or Functional model whose inputs have no fixed size. Layers inside a
            layer of your own count with the size that they were built for.
        progress: Whether to show a progress bar on the standard error file. Defaults to `False`.

    Returns:
        `SpectralReport`, a list of one `KernelRecord` for each matrix, which prints as a table.

    Raises:
        ValueError: If the model is not built or has no matrix, or if a weight is not finite, or the
            shape does not fit.
        ImportError: If SciPy is not installed and a convolution is to be decomposed, or rich if a
            progress bar is wanted.

    Example:

    >>> layers = [keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones")]
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> (record,) = spectral_report(model)
    >>> round(record.matrix_norm, 2), round(record.operator_norm, 2), record.operator_guarantee
    (3.0, 8.29, 'exact')
    """
    check_model(model)
    check_boolean("progress", progress)
    sizes = _input_shapes(model, input_shape)
    rows = [row for place in places(model) for row in _rows(place, sizes)]
    if not rows:
        raise ValueError(
            "Argument `model` must have at least one matrix. "
            f"Received: model '{model.name}' without one"
        )
    tracked = _rendering.tracked(rows, model.name, progress)
    return SpectralReport(model.name, [make() for _, make in tracked])


def _rows(place: Place, sizes: dict[int, tuple | None]) -> list[tuple[str, Callable]]:
    """The path of each record of a layer, and the function that makes it."""
    shape = sizes.get(id(place.layer))
    rows = [functools.partial(_record, place, shape, *kernel) for kernel in place.kernels]
    rows += [functools.partial(_undescribed, place, matrix) for matrix in place.undescribed]
    return [(place.path, row) for row in rows]


def _undescribed(place: Place, matrix: keras.Variable) -> KernelRecord:
    layer = plain(place.layer)
    return KernelRecord(
        layer=place.path,
        layer_class=plain_class(layer).__name__,
        kernel=matrix.name,
        kind=None,
        shape=tuple(matrix.shape),
        parameters=math.prod(matrix.shape),
        reason=why_undescribed(layer),
    )


def _input_shapes(model: keras.Model, input_shape: Any) -> dict[int, tuple | None]:
    """The largest shape that each layer is called with, by the `id` of the layer."""
    if not runs_its_layers(model):
        if input_shape is not None:
            raise ValueError(
                "Argument `input_shape` must be `None` for a model that is neither Sequential nor "
                "Functional, or has a `call` of its own. "
                f"Received: input_shape={input_shape!r} for model '{model.name}'"
            )
        return {}
    sizes: dict[int, tuple | None] = {}

    def visit(call: Call) -> Passed:
        shape = tuple(call.inputs[0].tensor.shape) if len(call.inputs) == 1 else None
        sizes[id(call.layer)] = _larger(sizes.get(id(call.layer), shape), shape)
        return Passed(1.0)

    walk(model, input_signals(model, input_shape), visit)
    return sizes


def _larger(first: tuple | None, second: tuple | None) -> tuple | None:
    """The shape that holds both; of an unknown size if one is unknown."""
    if first is None or second is None or len(first) != len(second):
        return None
    pairs = zip(first, second, strict=True)
    return tuple(None if None in pair else max(pair) for pair in pairs)


def _record(place: Place, shape: tuple | None, kernel: Kernel, value: np.ndarray) -> KernelRecord:
    inner = plain(place.layer)
    if not np.all(np.isfinite(value)):
        raise ValueError(
            "Argument `model` must have finite weights. "
            f"Received: layer '{place.path}' whose kernel '{kernel.name}' has entries that are not"
        )
    linear_map = kernel.linear_map
    size = _input_size(inner, linear_map, shape)
    at_size = linear_map if size is None else linear_map.at_size(size)
    normalization, sigma, covered = _normalization(place.layer, kernel, size)
    ends = _extremes(value, linear_map)
    if linear_map.convolves:
        operator_norm, guarantee = _operator_norm(value, at_size)
        bound = certified_norm(value, at_size)[0]
    else:
        operator_norm, guarantee, bound = ends.largest, norms.EXACT, ends.largest * ROUNDING
    return KernelRecord(
        layer=place.path,
        layer_class=plain_class(inner).__name__,
        kernel=kernel.name,
        kind=linear_map.kind,
        shape=tuple(linear_map.kernel_shape),
        parameters=int(value.size),
        normalization=normalization,
        sigma=sigma,
        matrix_norm=ends.largest,
        smallest_singular_value=ends.smallest,
        condition_number=ends.condition_number,
        operator_norm=operator_norm,
        operator_guarantee=guarantee,
        certified_bound=bound,
        input_size=size,
        covered=covered,
        stable_rank=float(np.sum((value / ends.largest) ** 2)) if ends.largest else 0.0,
    )


def _extremes(value: np.ndarray, linear_map: norms.LinearMap) -> Extremes:
    """The ends of the singular values of the matrix view, the smallest if it costs nothing."""
    if linear_map.convolves and min(linear_map.matrix_shape[-2:]) > _DECOMPOSED:
        return Extremes(norms.measure(value, linear_map, "matrix"), None)
    return extremes(linear_map.matrix(value, np))


def _input_size(
    layer: Any, linear_map: norms.LinearMap, shape: tuple | None
) -> tuple[int | None, ...] | None:
    """The pixels that a kernel sees: in the call's shape, else what it was built for."""
    if not linear_map.convolves:
        return None
    rank = len(linear_map.tap_axes)
    first = getattr(layer, "data_format", None) == "channels_first"
    if shape is not None and len(shape) == rank + 2:
        return tuple(shape[2:] if first else shape[1:-1])
    return None if linear_map.window is None else linear_map.window.input_size


def _normalization(
    layer: Any, kernel: Kernel, size: tuple | None
) -> tuple[str | None, float | None, bool | None]:
    """What a wrapper is called, its σ, and whether its norm holds at the size."""
    if not isinstance(layer, Reparameterization):
        return None, None, None
    name = plain_class(layer).__name__
    if not isinstance(layer, DividedByNorm):
        return name, None, True
    norm = layer.kernel_norms[kernel.name]
    covers = getattr(norm, "covers", None)
    covered = True if covers is None or size is None else covers(kernel.linear_map, size)
    return f"{name}({norm!r})", float(layer.sigma()[kernel.name]), covered


def _operator_norm(
    value: np.ndarray, linear_map: norms.LinearMap
) -> tuple[float | None, str | None]:
    """The norm of a convolution and what it is worth."""
    window = linear_map.window
    if window is None or None in window.input_size:
        return None, None
    if norms.entries_of(linear_map) <= _EXACT_ENTRIES:
        return norms.exact(value, linear_map, 1e-6).value, norms.EXACT
    if norms.work_of(linear_map) <= _ESTIMATE_WORK:
        return norms.Operator(tolerance=5e-3).converged(value, linear_map), norms.ESTIMATE
    return None, None
