"""The symbol of a convolution: one small complex matrix for each frequency, and its peak.

    A(ω)[(r, i), j] = Σ_q W[s·q + r, i, j] · exp(iωq)

over phases r and inputs i in the rows and outputs j in the columns, for each block. The norm of the
convolution on a circle is the largest singular value over all of them.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

from tfspecnorm._backend.operations import constant, entry, ops
from tfspecnorm.norms import _transfer_matrices
from tfspecnorm.norms._frequencies import Plan, multiples, plan_of
from tfspecnorm.norms.base import TINY
from tfspecnorm.norms.linear_map import LinearMap


class Symbol(NamedTuple):
    """A kernel with the tables of its frequencies.

    Args:
        kernel: Tensor `(taps · inputs, blocks, outputs)`.
        scaled: The same as a constant whose largest entry is 1.
        tables: `Plan` of the frequencies.
        inputs: Inputs of a block.
    """

    kernel: Any
    scaled: Any
    tables: Plan
    inputs: int


class Peak(NamedTuple):
    """Where the norm of a convolution comes from.

    Args:
        block: Index of the block.
        wave: Tensor `(2 · phases, taps, 1, 1)`, cosines and sines of the frequency.
        square: The squared norm there, or the bound that was found for it.
    """

    block: Any
    wave: Any
    square: Any


def symbol(kernel: Any, linear_map: LinearMap) -> Symbol:
    """The symbol of a kernel: a tensor of at least 32 bits."""
    view = linear_map.as_convolution
    kernel = view.stacked(ops.convert_to_tensor(kernel))
    tables = plan_of(linear_map, keras.backend.standardize_dtype(kernel.dtype))
    scaled = ops.stop_gradient(kernel)
    scaled = scaled / (ops.max(ops.abs(scaled)) + TINY)
    return Symbol(kernel, scaled, tables, kernel.shape[0] // view.taps)


def peak(given: Symbol, squarings: int = _transfer_matrices.SQUARINGS) -> Peak:
    """The block with the largest bound, and the frequency that the bound comes from.

    Each circle's largest value is a bound for the block, and the smallest of them counts.
    """
    tables = given.tables
    squares = _squared_norms(given, squarings)
    length, blocks = squares.shape[0] // tables.circles, squares.shape[1]
    circles = ops.reshape(squares, (tables.circles, length, blocks))
    # Reductions and two short searches take less time than a search through all values.
    bounds = ops.min(ops.max(circles, axis=1), axis=0)
    block = _place_of_largest(bounds)
    square, frequency = ops.top_k(entry(circles, block, axis=2), 1)
    if tables.circles == 1:
        square, frequency = ops.reshape(square, ()), ops.reshape(frequency, ())
    else:
        square, frequency = ops.squeeze(square, -1), ops.squeeze(frequency, -1)
        frequency = frequency + constant(multiples(length, tables.circles), frequency)
        circle = _place_of_largest(-square)
        square, frequency = entry(square, circle, axis=0), entry(frequency, circle, axis=0)
    waves = constant(tables.waves, squares, (*tables.waves.shape, 1, 1))
    wave = entry(waves, frequency, axis=0)
    return Peak(block, wave, square)


def _place_of_largest(values: Any) -> Any:
    # In Keras `argmax` takes ten operations, because it looks for negative zeros.
    return ops.reshape(ops.top_k(values, 1)[1], ())


def image_at(kernel: Any, found: Peak, inputs: int) -> Any:
    """A at the peak, `(2 · phases, 1, inputs, outputs)`, of a kernel like a `Symbol`'s."""
    block = entry(kernel, found.block, axis=1)
    block = ops.reshape(block, (found.wave.shape[1], inputs, -1))
    # Not a matrix product: accelerators round its factors to 10 bits.
    return ops.sum(found.wave * block, axis=1, keepdims=True)


def as_matrix(image: Any) -> Any:
    """A `(2, phases · inputs, outputs)`, real part and imaginary part, of what `image_at` gives."""
    return ops.reshape(image, (2, -1, image.shape[-1]))


def _squared_norms(given: Symbol, squarings: int) -> Any:
    """‖A(ω)‖² for each frequency and block, or a bound that is hardly larger."""
    tables = given.tables
    rows, blocks, outputs = given.scaled.shape
    taps = rows // given.inputs
    if not tables.of_vectors:
        images = _rows(tables.waves, given.scaled) @ ops.reshape(given.scaled, (taps, -1))
        shape = (len(tables.waves), 2, tables.phases * given.inputs, blocks, outputs)
        return _transfer_matrices.squared_norms(ops.reshape(images, shape), squarings)
    kernel = given.scaled
    if outputs > 1:
        kernel = ops.transpose(kernel, (0, 2, 1))
    return squared_norms_of_vectors(ops.reshape(kernel, (taps, -1)), tables, blocks)


def squared_norms_of_vectors(kernel: Any, tables: Plan, blocks: int = -1) -> Any:
    """‖A(ω)‖² for each frequency and block, where A has one row or one column.

    The last axis of the kernel `(taps, ...)` counts the blocks; by default each column is one.
    """
    blocks = kernel.shape[1] if blocks < 0 else blocks
    table = tables.waves if tables.samples is None else tables.samples
    images = ops.reshape(_rows(table, kernel) @ kernel, (len(table), -1, blocks))
    squares = ops.sum(ops.square(images), axis=1)
    if tables.interpolation is not None:
        squares = constant(tables.interpolation, squares) @ squares
    return squares


def _rows(table: np.ndarray, like: Any) -> Any:
    return constant(table, like, (-1, table.shape[-1]))
