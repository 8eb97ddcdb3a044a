"""The table in `docs/layers.md` against what the wrappers accept."""

import pathlib
import re

import pytest

from tests.layers.families import FAMILIES, WRAPPERS, Affine
from tfspecnorm.kernels.registry import public_name

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "layers.md"
COLUMNS = ("spectral", "bidirectional", "mean", "weight")


def table():
    """Cells by the names of the layers in the first column."""
    rows = {}
    lines = PAGE.read_text(encoding="utf-8").split("## The table")[1].splitlines()
    for line in lines:
        first, *cells = [cell.strip() for cell in re.split(r"\s\|\s", line.strip("| "))]
        if len(cells) == len(COLUMNS) and not first.startswith(("layer", "---")):
            names = re.findall(r"`(\w+)`", first) or [Affine.__name__]
            rows |= dict.fromkeys(names, dict(zip(COLUMNS, cells, strict=True)))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_which_pairs_are_refused(family):
    row = table()[public_name(type(FAMILIES[family].make()))]
    for wrapper in COLUMNS:
        if row[wrapper].startswith("`ValueError`"):
            with pytest.raises(ValueError, match="Argument `layer` must"):
                WRAPPERS[wrapper](FAMILIES[family].make())
        else:
            WRAPPERS[wrapper](FAMILIES[family].make())


def test_the_page_has_a_row_for_every_layer():
    assert {public_name(type(family.make())) for family in FAMILIES.values()} - {"Affine"} <= set(
        table()
    )
