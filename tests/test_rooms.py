"""Who may know whom: no arrow between the parts of the package points back."""

import ast
import re
from pathlib import Path

import pytest

import tfspecnorm

PACKAGE = Path(tfspecnorm.__file__).parent

# Part of the package: the parts whose names it may import.
MAY_KNOW = {
    "_util": {"_version"},
    "_version": set(),
    "_backend": set(),
    "norms": {"_util", "_backend"},
    "kernels": {"_util", "_backend", "norms"},
    "layers": {"_util", "_backend", "kernels", "norms"},
    "surgery": {"_util", "kernels", "layers"},
    "initializers": {"_util", "kernels", "layers", "norms"},
    "migration": {"_util", "kernels", "layers", "surgery"},
    "schedules": {"_util"},
    "analysis": {"_util", "_backend", "kernels", "layers", "norms", "surgery"},
    "edge": {"_util", "_backend", "_version", "surgery"},
    "callbacks": {"_util", "_backend", "kernels", "layers", "norms"},
    "metrics": {"_util"},
    "_commands": {"_util", "analysis", "edge", "surgery"},
    "__main__": {"_commands"},
    "models": {"_util", "initializers", "layers"},
    "gan": {"_util", "_backend", "layers", "surgery"},
}

# The part that asks which backend there is, and imports it; a file format says which ones write it.
MAY_ASK = {"_backend", "edge/_formats/format.py"}
# Files that read or write what belongs to TensorFlow or PyTorch, whatever the backend is.
MAY_IMPORT = {"edge", "migration", "callbacks/_tensorboard.py"}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def known_rooms(path):
    """The parts of the package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            modules = ["tfspecnorm"]
        elif isinstance(node, ast.ImportFrom):
            # `from tfspecnorm import layers` names the part behind the `import`.
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            package, _, rest = module.partition(".")
            if package == "tfspecnorm":
                yield rest.partition(".")[0] or "a relative import"


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if room_of(path) != "__init__"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_back(path):
    room = room_of(path)
    assert room in MAY_KNOW, "a new part of the package states here whom it may know"
    assert set(known_rooms(path)) <= MAY_KNOW[room] | {room}


def test_the_table_of_the_design():
    text = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    stated = {}
    for row in re.findall(r"^\| (`.*)$", table, flags=re.MULTILINE):
        rooms, _, known = (re.findall(r"`([^`]+)`", cell) for cell in row.strip("| ").split(" | "))
        for room in rooms:
            stated[room.removesuffix("/").removesuffix(".py")] = set(known)
    # The table is closer than a room: see the next test.
    assert stated["kernels"] == {"_util", "_backend", "norms.linear_map"}
    stated["kernels"] = MAY_KNOW["kernels"]
    assert stated == MAY_KNOW


def test_kernels_know_only_the_description_of_a_linear_map():
    imported = {
        node.module
        for path in (PACKAGE / "kernels").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tfspecnorm.norms")
    }
    assert imported == {"tfspecnorm.norms.linear_map"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_one_room_decides_by_the_backend(path):
    names = {room_of(path), path.relative_to(PACKAGE).as_posix()}
    if names & MAY_ASK:
        return
    nodes = list(ast.walk(ast.parse(path.read_text())))
    asked = [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("keras.backend.backend", "keras.config.backend")
    ]
    assert asked == []
    if not names & MAY_IMPORT:
        modules = [
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        ]
        modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert {"tensorflow", "jax", "torch"}.isdisjoint(m.partition(".")[0] for m in modules)
