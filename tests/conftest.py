import keras
import pytest


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from the same random state and leaves no policy behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
