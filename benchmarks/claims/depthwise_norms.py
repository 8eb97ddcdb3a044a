"""Norms of single-channel convolutions: exact by Lanczos iteration, and Fourier bounds.

Part of `benchmarks.claims.depthwise`.
"""

import dataclasses

import numpy as np

from tfspecnorm import norms

# Lanczos steps for each pixel of an axis: they are as many as the waves that must be told apart.
_STEPS_PER_PIXEL, _FEWEST_STEPS = 1.5, 60
# Filters that are worked on at once, so that they fit into the processor's cache.
_AT_ONCE = 32


def fourier(kernels: np.ndarray, size: int) -> np.ndarray:
    """The largest absolute value of each kernel's discrete Fourier transform of a size."""
    return np.array(
        [np.abs(np.fft.rfft2(kernel, (size, size))).max() for kernel in np.moveaxis(kernels, -1, 0)]
    )


def project(kernels: np.ndarray, size: int, strides: int = 1) -> np.ndarray:
    """The bound of `norms.Fourier` for each kernel."""
    window = norms.window(2, input_size=size, strides=strides)
    linear_map = norms.depthwise_convolution((*kernels.shape[:2], 1, 1), window)
    norm = norms.Fourier()
    return np.array(
        [
            norm.converged(kernel[:, :, None, None], linear_map)
            for kernel in np.moveaxis(kernels, -1, 0)
        ]
    )


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Depthwise convolutions of square images with "same" padding, one for each kernel.

    Args:
        kernels: Array `(rows, columns, channels)` in double precision.
        size: Height and width of the images.
        strides: Stride.
    """

    kernels: np.ndarray
    size: int
    strides: int = 1

    @property
    def outputs(self) -> int:
        """Height and width of the outputs."""
        return -(-self.size // self.strides)

    @property
    def margins(self) -> tuple[int, int]:
        """Zeros before and behind an axis, as TensorFlow puts them."""
        total = (self.outputs - 1) * self.strides + len(self.kernels) - self.size
        total = max(total, 0)
        return total // 2, total - total // 2

    def _taps(self) -> list[tuple[slice, slice, np.ndarray]]:
        """The pixels of the padded image that each tap reads, and the taps of all channels."""
        reach = (self.outputs - 1) * self.strides + 1
        rows, columns = self.kernels.shape[:2]
        return [
            (
                slice(row, row + reach, self.strides),
                slice(column, column + reach, self.strides),
                self.kernels[row, column, :, None, None],
            )
            for row in range(rows)
            for column in range(columns)
        ]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Outputs `(channels, outputs, outputs)` for images `(channels, size, size)`."""
        padded = np.pad(images, ((0, 0), self.margins, self.margins))
        return sum(tap * padded[:, rows, columns] for rows, columns, tap in self._taps())

    def adjoint(self, outputs: np.ndarray) -> np.ndarray:
        """The images that the transposed map makes of outputs."""
        before, behind = self.margins
        extent = self.size + before + behind
        padded = np.zeros((len(outputs), extent, extent))
        for rows, columns, tap in self._taps():
            padded[:, rows, columns] += tap * outputs
        inside = slice(before, before + self.size)
        return padded[:, inside, inside]

    def norm(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Norms by Lanczos iteration, and the residuals of their squares, relative to these.

        Some eigenvalue of AᵀA lies within the residual of the square that is found.
        """
        found = [part._lanczos(random) for part in self._parts()]
        values, residuals = map(np.concatenate, zip(*found, strict=True))
        return values, residuals

    def power_iteration(self, random: np.random.Generator, iterations: int) -> np.ndarray:
        """Norms as power iterations from a random start estimate them."""
        return np.concatenate([part._powers(random, iterations) for part in self._parts()])

    def _parts(self) -> list["Convolution"]:
        channels = self.kernels.shape[-1]
        return [
            dataclasses.replace(self, kernels=self.kernels[..., start : start + _AT_ONCE])
            for start in range(0, channels, _AT_ONCE)
        ]

    def _start(self, random: np.random.Generator) -> np.ndarray:
        vectors = random.standard_normal((self.kernels.shape[-1], self.size, self.size))
        return vectors / _lengths(vectors)

    def _powers(self, random: np.random.Generator, iterations: int) -> np.ndarray:
        vectors = self._start(random)
        for _ in range(iterations):
            vectors = self.adjoint(self(vectors))
            vectors /= _lengths(vectors)
        return _lengths(self(vectors))[:, 0, 0]

    def _lanczos(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        steps = min(max(_FEWEST_STEPS, int(_STEPS_PER_PIXEL * self.size)), self.size**2)
        diagonal = np.zeros((self.kernels.shape[-1], steps))
        beside = np.zeros_like(diagonal)
        vectors, before = self._start(random), np.zeros(())
        for step in range(steps):
            images = self.adjoint(self(vectors))
            diagonal[:, step] = np.sum(images * vectors, axis=(1, 2))
            images -= diagonal[:, step, None, None] * vectors
            if step:
                images -= beside[:, step - 1, None, None] * before
            lengths = _lengths(images)
            beside[:, step] = lengths[:, 0, 0]
            before, vectors = vectors, images / np.maximum(lengths, np.finfo(float).tiny)
        matrices = np.zeros((len(diagonal), steps, steps))
        places = np.arange(steps)
        matrices[:, places, places] = diagonal
        matrices[:, places[1:], places[:-1]] = beside[:, :-1]
        values, vectors = np.linalg.eigh(matrices)
        squares = values[:, -1]
        return np.sqrt(squares), beside[:, -1] * np.abs(vectors[:, -1, -1]) / squares


def _lengths(images: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(images * images, axis=(1, 2), keepdims=True))
