"""Tests of keras-hub's models run only where keras-hub is installed."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("keras_hub") else ["*.py"]
