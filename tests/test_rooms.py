"""Who may know whom: no arrow between the parts of the package points back."""

import ast
import re
from pathlib import Path

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
    "surgery": {"_util", "_backend", "kernels", "layers"},
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


def names_of(path):
    """The names that a table may call a file by: its part of the package, and its own."""
    return room_of(path), path.relative_to(PACKAGE).as_posix()


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


def test_no_import_points_back():
    """A new part of the package states in `MAY_KNOW` whom it may know."""
    offenders = []
    for path in FILES:
        admitted = MAY_KNOW.get(room_of(path), set()) | {room_of(path)}
        offenders += [
            f"{path.relative_to(PACKAGE)}: {room}"
            for room in sorted(set(known_rooms(path)) - admitted)
        ]
    assert offenders == []
    assert {room_of(path) for path in FILES} == MAY_KNOW.keys()


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


def backends_asked_for(path):
    """The places of a file that ask which backend there is, or import one."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node) in (
            "keras.backend.backend",
            "keras.config.backend",
        ):
            yield node.lineno, ast.unparse(node)
    if MAY_IMPORT.isdisjoint(names_of(path)):
        for node in nodes:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                if module.partition(".")[0] in ("tensorflow", "jax", "torch"):
                    yield node.lineno, module


def test_one_room_decides_by_the_backend():
    offenders = [
        f"{path.relative_to(PACKAGE)}:{line}: {what}"
        for path in FILES
        if MAY_ASK.isdisjoint(names_of(path))
        for line, what in backends_asked_for(path)
    ]
    assert offenders == []
