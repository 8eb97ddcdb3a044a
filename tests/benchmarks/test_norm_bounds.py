import doctest

import numpy as np
import pytest

from benchmarks import norm_bounds
from tfspecnorm import norms


def test_examples():
    assert doctest.testmod(norm_bounds).failed == 0


@pytest.mark.parametrize(
    "bound", [norm_bounds.four_reshapes, norm_bounds.tensor_norm, norm_bounds.gram_in_space]
)
def test_what_is_measured(bound):
    with pytest.raises(ValueError, match="`linear_map` must be that of a convolution"):
        bound(np.ones((3, 4)), norms.dense((3, 4)))
    with pytest.raises(ValueError, match="`kernel` must have the shape"):
        bound(np.ones((3, 3, 2)), norms.convolution((3, 3, 2, 2)))
