"""Writes `docs/claims.md` and its pictures from the files of the runs.

python -m benchmarks.claims.page
"""

import os
from pathlib import Path

from benchmarks.claims.__main__ import NAMES, claim_of
from benchmarks.claims.claim import Claim, Results
from benchmarks.claims.command import RESULTS, loaded
from benchmarks.speed.measure import Parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "claims.md"
PICTURES = PAGE.parent / "images"
_HEAD = """# What the papers claim, measured

People choose a normalization because a paper said so. Each claim below was tried at a size that two
processor cores carry, over several seeds. All figures come from the files in
`benchmarks/claims/results`, which `make claims` writes, and this page from them. "mean ± deviation"
is the standard deviation over seeds; a difference inside the spread (the root of the sum of both
variances) is called *no difference*. Larger, on a GPU, with the paper's settings:
`python -m benchmarks.claims.NAME --scale paper --dataset cifar10`.
"""


def results_of(claim: Claim) -> Results:
    """The finished runs of the page."""
    names = set(claim.run_names)
    found = loaded(RESULTS / claim.name)
    return {name: own for name, own in found.items() if name in names}


def section(claim: Claim, results: Results) -> str:
    """What the page says of a claim."""
    lines = [f"## {claim.title}", "", f"{claim.source}", "", claim.setup, ""]
    lines += ["| claim | paper | here | verdict | what differs |", "|---|---|---|---|---|"]
    for finding in claim.findings(results):
        cells = finding.claim, finding.paper, finding.ours, finding.verdict, finding.differs
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    details = claim.details(results)
    lines += ["", details] if details else []
    if claim.draw is not None and results:
        lines += ["", f"![{claim.title}](images/claims_{claim.name}.png)"]
    return "\n".join([*lines, "", _provenance(claim, results)])


def _provenance(claim: Claim, results: Results) -> str:
    total = len(claim.run_names)
    command = f"`python -m benchmarks.claims.{claim.name}`"
    if not results:
        return f"{command}; none of {total} runs is there yet."
    versions: dict[str, set[str]] = {}
    for found in results.values():
        for name, version in found["versions"].items():
            versions.setdefault(name, set()).add(version)
    described = ", ".join(f"{name} {' and '.join(sorted(all))}" for name, all in versions.items())
    seeds = sorted({found["options"].get("seed", 0) for found in results.values()})
    minutes = sum(found["seconds"] for found in results.values()) / 60
    count = f"{len(results)} of {total} runs" if len(results) < total else f"{total} runs"
    return (
        f"{command}; {count}, {minutes:.0f} minutes of a budget of {claim.minutes:.0f}; "
        f"seeds {', '.join(map(str, seeds))}; {described}."
    )


def written() -> str:
    """The whole page."""
    claims = [claim_of(name) for name in NAMES]
    return "\n".join([_HEAD, *(f"{section(claim, results_of(claim))}\n" for claim in claims)])


def main() -> None:
    Parser(
        prog="python -m benchmarks.claims.page", description=__doc__.splitlines()[0]
    ).parse_args()
    text = written()
    partial = PAGE.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, PAGE)
    for name in NAMES:
        claim = claim_of(name)
        results = results_of(claim)
        if claim.draw is not None and results:
            claim.draw(results, PICTURES / f"claims_{name}.png")


if __name__ == "__main__":
    main()
