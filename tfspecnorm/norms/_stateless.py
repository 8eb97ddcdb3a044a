"""Norms that keep nothing from one step to the next."""

from typing import Any

import numpy as np

from tfspecnorm._util.configurable import Configurable
from tfspecnorm.norms.linear_map import LinearMap


class Stateless(Configurable):
    """Base of the norms without state."""

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        """No state: nothing is iterated from one step to the next."""
        return {}

    def warm_up(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        """No state."""
        return {}

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        """No state."""
        return {}

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        """σ itself."""
        return self(kernel, {}, linear_map).sigma
