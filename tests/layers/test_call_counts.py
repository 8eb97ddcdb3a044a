"""Python calls that one call of a wrapper makes: where each operation runs by itself, they cost."""

import sys
from pathlib import Path

import keras
import pytest

import tfspecnorm
from tests import tools
from tfspecnorm import layers

PACKAGE = str(Path(tfspecnorm.__file__).parent)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="counted on one backend")
@pytest.mark.parametrize(
    "inner, shape, calls, files",
    [
        (keras.layers.Dense(8), (2, 4), 40, 8),
        (keras.layers.Conv2D(8, 3), (2, 8, 8, 4), 42, 9),
        (keras.layers.DepthwiseConv2D(3), (2, 8, 8, 4), 60, 12),
    ],
    ids=["dense", "convolution", "depthwise"],
)
def test_an_eager_training_call_makes_few_calls(inner, shape, calls, files):
    layer, inputs = layers.SpectralNorm(inner), tools.random(*shape)
    layer(inputs, training=True)
    seen = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        layer(inputs, training=True)
    finally:
        sys.setprofile(None)
    assert 20 < len(seen) <= calls and len(set(seen)) <= files
