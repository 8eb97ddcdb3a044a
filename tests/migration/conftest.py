import zipfile

import pytest

from tests.migration.wrapped import GOLDEN


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("addons")
    with zipfile.ZipFile(GOLDEN / "tensorflow_addons.zip") as archive:
        archive.extractall(path)
    return path
