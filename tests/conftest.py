from pathlib import Path

import keras
import pytest

TESTS = Path(__file__).parent
# Folders and files of tests that have to hold on every backend, and on the oldest Keras. Files that
# are not named here may import what only the environment of `make test` has.
EVERY_BACKEND = {
    *("analysis", "callbacks", "gan", "kernels", "layers", "metrics", "migration", "norms"),
    *("surgery", "test_arguments.py", "test_files.py", "test_import.py", "test_initializers.py"),
    *("test_main.py", "test_measured_once.py", "test_operations.py", "test_saved_models.py"),
    *("test_schedules.py", "test_trust.py", "test_variables.py", "edge/test_formats.py"),
    *("edge/test_odd_models.py", "edge/test_samples.py", "examples/test_parallel.py"),
    "examples/test_smoke.py",
}


def of_every_backend(path):
    if not path.is_relative_to(TESTS):
        return False
    inside = path.relative_to(TESTS)
    return not EVERY_BACKEND.isdisjoint(part.as_posix() for part in (inside, *inside.parents))


def pytest_ignore_collect(collection_path, config):
    """With `-m backends` the other files are not imported: what they import may be missing."""
    if config.option.markexpr.startswith("backends") and collection_path.suffix == ".py":
        return True if not of_every_backend(collection_path) else None
    return None


def pytest_itemcollected(item):
    if of_every_backend(item.path):
        item.add_marker("backends")


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from the same random state and leaves no policy behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
