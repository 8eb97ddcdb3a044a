"""What importing the package needs, says and pulls in."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import tfspecnorm

PACKAGE = Path(tfspecnorm.__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")
# Installed by an extra, or not at all: imported inside the function that needs them.
OPTIONAL = set(
    "tensorflow jax torch scipy sklearn matplotlib rich ai_edge_litert tensorflow_datasets "
    "tflite_micro".split()
)

# The finder of installed packages, which looks for backends in one folder alone.
ONLY_BACKENDS_IN = """
import importlib.machinery, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in ("tensorflow", "jax", "torch"):
            path = [{folder!r}]
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
"""


def run_python(code, tmp_path, **environment):
    """Runs `code` in a fresh interpreter that reads no `keras.json` but that of `tmp_path`."""
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    variables |= {"KERAS_HOME": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=300
    )


def import_with(present, tmp_path, **environment):
    """Imports the package where only the backends `present` are installed, as empty packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir(exist_ok=True)
    for name in present:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    code = ONLY_BACKENDS_IN.format(folder=str(folder)) + "import tfspecnorm"
    return run_python(code, tmp_path, **environment)


def test_no_backend_says_what_to_install(tmp_path):
    result = import_with((), tmp_path)
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert 'pip install "tfspecnorm[tensorflow-cpu]"' in result.stderr
    for extra in BACKENDS:
        assert f"[{extra}]" in result.stderr
    assert "KERAS_BACKEND" in result.stderr


@pytest.mark.parametrize("selected", BACKENDS)
def test_missing_selected_backend_says_what_is_there(selected, tmp_path):
    other = next(name for name in BACKENDS if name != selected)
    result = import_with((other,), tmp_path, KERAS_BACKEND=selected)
    assert result.returncode == 1
    assert f"the backend {selected}, which is not installed" in result.stderr
    assert f"installed here: {other}" in result.stderr
    assert f"KERAS_BACKEND={other}" in result.stderr
    assert 'pip install "tfspecnorm[' in result.stderr


def test_default_backend_missing(tmp_path):
    result = import_with(("jax",), tmp_path)
    assert result.returncode == 1
    assert "the backend tensorflow, which is not installed" in result.stderr
    assert "the default of Keras" in result.stderr


def test_backend_named_in_the_settings_file(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    result = import_with(("tensorflow",), tmp_path)
    assert result.returncode == 1
    assert "the backend torch, which is not installed" in result.stderr
    assert str(tmp_path / "keras.json") in result.stderr


def test_environment_variable_wins_over_the_settings_file(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    result = import_with(("tensorflow",), tmp_path, KERAS_BACKEND="jax")
    assert "the backend jax, which is not installed" in result.stderr


def test_backend_that_is_not_supported(tmp_path):
    result = import_with(("jax",), tmp_path, KERAS_BACKEND="numpy")
    assert result.returncode == 1
    assert "runs on the Keras backends tensorflow, jax, torch" in result.stderr
    assert "Received: KERAS_BACKEND='numpy'" in result.stderr


def test_left_over_folder_is_not_taken_for_a_backend(tmp_path):
    (tmp_path / "site-packages" / "tensorflow" / "include").mkdir(parents=True)
    result = import_with((), tmp_path)
    assert "none of tensorflow, jax, torch is installed" in result.stderr


def test_import_loads_nothing_that_keras_does_not_load(tmp_path):
    def loaded_by(module):
        code = f"""
import json, sys
import {module}
print(json.dumps([name for name in {sorted(OPTIONAL)!r} if name in sys.modules]))
"""
        result = run_python(code, tmp_path, KERAS_BACKEND=keras.backend.backend())
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[-1])

    assert loaded_by("tfspecnorm") == loaded_by("keras")


def imported_modules(tree, inside_functions):
    """Names of the modules that a syntax tree imports, with the line of each."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif inside_functions or not isinstance(node, functions):
            pending.extend(ast.iter_child_nodes(node))


FILES = sorted(PACKAGE.rglob("*.py"))


def test_source_imports_public_keras_only():
    offenders = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in FILES
        for name, line in imported_modules(ast.parse(path.read_text()), inside_functions=True)
        if f"{name}.".startswith("keras.src.")
    ]
    assert offenders == []


def test_source_imports_no_optional_package_at_module_level():
    offenders = []
    for path in FILES:
        # A room of one backend has it, and is itself imported where that is the backend.
        admitted = {"torch"} if path.match("_backend/torch_*.py") else set()
        imported = imported_modules(ast.parse(path.read_text()), inside_functions=False)
        offenders += [
            f"{path.relative_to(PACKAGE)}:{line}: {name}"
            for name, line in imported
            if name.partition(".")[0] in OPTIONAL - admitted
        ]
    assert offenders == []
