"""The package as pip installs it, in an environment that holds nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tfspecnorm

PACKAGE = Path(tfspecnorm.__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A folder with an environment into which the package was installed without any extra."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    # From a copy, because the build leaves a folder behind whose files a later build would ship.
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PACKAGE.parent / name, source)
    shutil.copytree(PACKAGE, source / PACKAGE.name)
    install = [folder / "bin" / "python", "-m", "pip", "install", "-q", str(source)]
    subprocess.run(install, check=True, cwd=folder)
    return folder


def run_in(environment, code):
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    variables["KERAS_HOME"] = str(environment)
    command = [environment / "bin" / "python", "-c", code]
    return subprocess.run(command, cwd=environment, env=variables, capture_output=True, text=True)


def test_every_file_is_installed(environment):
    (installed,) = environment.glob("lib/python*/site-packages/tfspecnorm")
    wanted = {
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert Path("py.typed") in found
    assert {path for path in found if path.suffix != ".pyc"} == wanted


def test_import_without_a_backend_says_what_to_install(environment):
    result = run_in(environment, "import tfspecnorm")
    assert result.returncode == 1
    assert 'pip install "tfspecnorm[tensorflow-cpu]"' in result.stderr


def test_version_of_the_metadata_is_the_version_of_the_code(environment):
    code = "import importlib.metadata; print(importlib.metadata.version('tfspecnorm'))"
    assert run_in(environment, code).stdout.strip() == tfspecnorm.__version__
