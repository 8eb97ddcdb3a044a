"""Writes the tables of `docs/performance.md` from the files of figures, and draws its plots.

    python -m benchmarks.speed.page

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; all other text is left alone.
"""

import json
import re
from pathlib import Path

from benchmarks.command_line import Parser
from benchmarks.files import write_whole
from benchmarks.speed import cost_tables, step_tables, wanted  # noqa: F401
from benchmarks.speed.plots import draw
from benchmarks.speed.tables import TABLES, Figures

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- table: (?P<name>[^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def loaded(folder: Path = RESULTS) -> dict[str, Figures]:
    """The figures of each finished part by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def written(text: str, results: dict[str, Figures]) -> str:
    """The page with its tables made anew."""

    def made(block: re.Match) -> str:
        # Empty lines around a table: Markdown asks for them.
        return "\n".join([block[1], *TABLES[block["name"]](results), "", block[3]])

    return _BLOCK.sub(made, text)


def main() -> None:
    parser = Parser("speed.page", __doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    results = loaded(options.results)
    write_whole(options.page, written(options.page.read_text(), results))
    draw(results, options.page.parent / "images")


if __name__ == "__main__":
    main()
