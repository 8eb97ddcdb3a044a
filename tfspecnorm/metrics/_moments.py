"""Mean and covariance of vectors that come in batches."""

import numpy as np


class Moments:
    """Streaming mean and scatter in float64.

    A batch is centred on its own mean, and the scatters are joined by the formula of Chan, Golub
    and LeVeque: n₁n₂/(n₁+n₂) times the outer product of the means' difference. A sum of outer
    products would lose the covariance of vectors far from zero to cancellation.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin = self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def update(self, vectors: np.ndarray) -> None:
        """Add a batch `(samples, d)` of finite vectors, of the same `d` as before."""
        if not self.count:
            # All is counted from here: means are rounded in proportion to their size.
            self._origin = np.mean(vectors, axis=0, dtype="float64")
            self._mean = np.zeros_like(self._origin)
            self._scatter = np.zeros((self._origin.size,) * 2)
        vectors = vectors - self._origin
        mean = vectors.mean(axis=0)
        vectors -= mean
        shift = mean - self._mean
        count, total = len(vectors), self.count + len(vectors)
        self._scatter += vectors.T @ vectors
        self._scatter += np.outer(shift, shift) * (self.count * count / total)
        self._mean = self._mean + shift * (count / total)
        self.count = total

    @property
    def features(self) -> int:
        """The `d` of the vectors."""
        return self._origin.size

    @property
    def mean(self) -> np.ndarray:
        """The mean `(d,)`."""
        return self._origin + self._mean

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance `(d, d)`, divided by the number of samples minus one."""
        return self._scatter / (self.count - 1)
