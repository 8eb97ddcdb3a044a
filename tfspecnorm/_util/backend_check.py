"""Tells what to install when Keras has no backend to run on, instead of a long traceback."""

import importlib.util
import json
import os
import sys
from pathlib import Path

# The backends that the package is tested on, each with the extra that installs it.
BACKENDS = {"tensorflow": "tensorflow-cpu", "jax": "jax", "torch": "torch"}
DEFAULT_BACKEND = "tensorflow"


def check() -> None:
    """Raises `ImportError` when the backend that Keras is set to cannot be imported.

    The choice is read as Keras reads it: the environment variable `KERAS_BACKEND`, then the
    entry "backend" of `keras.json`, then TensorFlow. No backend is imported here: a spec in
    the import path is enough, and importing all three would cost seconds and memory.

    Raises:
        ImportError: If no backend is installed, if the selected one is missing, or if the
            selected one is not known to this package.
    """
    if "keras" in sys.modules:
        # Keras has loaded its backend already, so there is one.
        return
    selected, source = _selected_backend()
    installed = [name for name in BACKENDS if _is_installed(name)]
    if not installed:
        raise ImportError(
            "`tfspecnorm` needs a backend for Keras, and none of "
            f"{', '.join(BACKENDS)} is installed in this environment. Install one:\n"
            f"    {_install_command('tensorflow')}\n"
            "or with [tensorflow], [jax] or [torch] in place of [tensorflow-cpu]. Keras uses "
            "TensorFlow unless the environment variable `KERAS_BACKEND` "
            f"names jax or torch. Received: {source}"
        )
    if selected not in BACKENDS:
        raise ImportError(
            f"`tfspecnorm` runs on the Keras backends {', '.join(BACKENDS)}; installed here: "
            f"{', '.join(installed)}. Select one before Keras is imported, for example with "
            f"the environment variable `KERAS_BACKEND={installed[0]}`. Received: {source}"
        )
    if selected not in installed:
        raise ImportError(
            f"Keras is set to the backend {selected}, which is not installed; installed here: "
            f"{', '.join(installed)}. Either select an installed one before Keras is imported, "
            f"with the environment variable `KERAS_BACKEND={installed[0]}`, or install the "
            f"missing one:\n    {_install_command(selected)}\nReceived: {source}"
        )


def _install_command(backend: str) -> str:
    return f'pip install "tfspecnorm[{BACKENDS[backend]}]"'


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    spec = importlib.util.find_spec(name)
    # An uninstalled package often leaves an empty folder behind, which Python takes for a
    # namespace package: a spec without an origin.
    return spec is not None and spec.origin is not None


def _selected_backend() -> tuple[str, str]:
    """The backend that Keras will load, and where this choice was found."""
    from_environment = os.environ.get("KERAS_BACKEND")
    if from_environment:
        return from_environment, f"KERAS_BACKEND={from_environment!r}"
    path = _keras_home() / "keras.json"
    from_file = _backend_in_file(path)
    if from_file is not None:
        return from_file, f"backend={from_file!r} in {path}"
    return DEFAULT_BACKEND, f"backend={DEFAULT_BACKEND!r} (the default of Keras)"


def _keras_home() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"


def _backend_in_file(path: Path) -> str | None:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return settings.get("backend") if isinstance(settings, dict) else None
