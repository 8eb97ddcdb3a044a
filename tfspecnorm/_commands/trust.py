"""Files of models that may run code: those that an old Keras does not keep from it."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

# Since then no `.h5` file runs a lambda (CVE-2025-9905), and no `.keras` file calls a function of
# another module, or one of Keras that switches the safe mode off (CVE-2025-1550, -8747, -9906).
SAFE_KERAS = (3, 11, 3)
_MODULES = {
    *("keras", "keras.src.models.functional", "keras.src.models.sequential"),
    *(
        f"keras.{part}"
        for part in (
            *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
            *("metrics", "ops", "optimizers", "optimizers.schedules", "quantizers", "random"),
            "regularizers",
        )
    ),
}
# Operations of Functional models, and optimizers that are saved on PyTorch.
_PRIVATE = ("keras.src.ops.", "keras.src.backend.torch.optimizers.")
# Layers that hold code, or programs of other libraries.
_CODE = {
    *("Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper"),
    *("JaxLayer", "FlaxLayer"),
}


def untrusted(path: Path) -> str | None:
    """What in a model's file the Keras that is installed might run, or `None` if nothing.

    Args:
        path: File that is there.
    """
    if _version() >= SAFE_KERAS:
        return None
    if path.suffix != ".keras":
        return "a file of another format than .keras"
    if not zipfile.is_zipfile(path):
        # Keras refuses it.
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile):
        return "a file whose config.json cannot be read"
    return next((found for found in map(_unsafe, _objects(config)) if found is not None), None)


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in keras.__version__.split(".")[:3] if part.isdigit())


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All dicts that describe an object to be made, wherever they are."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _unsafe(part: dict[str, Any]) -> str | None:
    name, module, registered = (
        part.get(key) for key in ("class_name", "module", "registered_name")
    )
    if not isinstance(name, str) or name in _CODE:
        return f"a {name}"
    if isinstance(registered, str) and keras.saving.get_registered_object(registered) is not None:
        return None
    known = module is None or module in _MODULES or str(module).startswith(_PRIVATE)
    # What Keras itself writes for tensors, arrays and types.
    if known or (module == "builtins" and name.startswith("__")):
        return None
    return f"{name} of the module {module}"
