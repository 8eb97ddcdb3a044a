"""The Fréchet distance of two Gaussians."""

from typing import Any

import numpy as np

# A covariance that was computed in 32 bits has eigenvalues below zero of about this size.
_NEGATIVE = 1e-6


def frechet_distance(mean_1: Any, covariance_1: Any, mean_2: Any, covariance_2: Any) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians, as it is in "FID".

        d² = ‖m₁ − m₂‖² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½

    With factors Sᵢ = Fᵢ Fᵢᵀ the last three terms are the smallest ‖F₁ − F₂ Q‖² over all orthogonal
    Q, and are computed as that sum of squares, with the Q of a singular value decomposition of
    F₁ᵀ F₂.

    Guarantee: *exact* up to rounding in 64 bits; never negative and never complex, for singular and
    for equal covariances as well. Nothing is added to a diagonal, and nothing cancels: of nearly
    equal Gaussians the distance is not lost in the rounding of the traces. Eigenvalues below d·ε of
    the largest, ε = 2.2e-16, cannot be told from rounding and count as zero.

    Args:
        mean_1: Array `(d,)`.
        covariance_1: Symmetric positive semidefinite array `(d, d)`, of any rank.
        mean_2: Like `mean_1`.
        covariance_2: Like `covariance_1`.

    Returns:
        The distance, in the unit of the variances.

    Raises:
        ValueError: If the shapes do not fit, an entry is not finite, or a covariance is not
            symmetric positive semidefinite.

    Example:

    >>> frechet_distance([0.0, 0.0], np.eye(2), [3.0, 4.0], np.eye(2))
    25.0
    >>> round(frechet_distance([0.0], [[4.0]], [0.0], [[9.0]]), 6)
    1.0

    Reference: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale
    Update Rule Converge to a Local Nash Equilibrium", 2017, arXiv:1706.08500.
    """
    mean_1 = _real_array("mean_1", mean_1)
    if mean_1.ndim != 1 or not mean_1.size:
        raise ValueError(
            f"Argument `mean_1` must have the shape (d,). Received: shape {mean_1.shape}"
        )
    mean_2 = _real_array("mean_2", mean_2)
    if mean_2.shape != mean_1.shape:
        raise ValueError(
            "Argument `mean_2` must have the shape of `mean_1`. "
            f"Received: shapes {mean_2.shape} and {mean_1.shape}"
        )
    factor_1 = _factor("covariance_1", covariance_1, mean_1.size)
    factor_2 = _factor("covariance_2", covariance_2, mean_1.size)
    return float(np.sum((mean_1 - mean_2) ** 2) + _factors_distance(factor_1, factor_2))


def _factors_distance(factor_1: np.ndarray, factor_2: np.ndarray) -> float:
    """The smallest squared distance of the factors that a rotation of their columns leaves."""
    common = min(factor_1.shape[1], factor_2.shape[1])
    if common:
        left, _, right = np.linalg.svd(factor_1.T @ factor_2)
        factor_1, factor_2 = factor_1 @ left, factor_2 @ right.T
    shared = factor_1[:, :common] - factor_2[:, :common]
    # The factor of larger rank has columns left, which nothing stands against.
    parts = (shared, factor_1[:, common:], factor_2[:, common:])
    return sum(float(np.sum(part**2)) for part in parts)


def _factor(argument: str, covariance: Any, features: int) -> np.ndarray:
    """F of shape `(d, rank)` with covariance = F Fᵀ."""
    covariance = _real_array(argument, covariance)
    if covariance.shape != (features, features):
        raise ValueError(
            f"Argument `{argument}` must have the shape ({features}, {features}), as the means "
            f"have {features} entries. Received: shape {covariance.shape}"
        )
    largest = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > _NEGATIVE * largest:
        raise ValueError(
            f"Argument `{argument}` must be symmetric. Received: {argument}={covariance!r}"
        )
    eigenvalues, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if eigenvalues[0] < -_NEGATIVE * largest:
        raise ValueError(
            f"Argument `{argument}` must be positive semidefinite. "
            f"Received: {argument} with the eigenvalue {eigenvalues[0]:.3g}"
        )
    # Square roots would make the rounding of zeros, 1e-16, as large as 1e-8.
    kept = eigenvalues > features * np.finfo("float64").eps * eigenvalues[-1]
    return vectors[:, kept] * np.sqrt(eigenvalues[kept])


def _real_array(argument: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not np.all(np.isfinite(array)):
        raise ValueError(
            f"Argument `{argument}` must be an array of finite real numbers. "
            f"Received: {argument}={value!r}"
        )
    return array.astype("float64")
